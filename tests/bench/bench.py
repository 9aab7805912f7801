"""make bench: figures of programs under tsrun, beside the plain kernel's and
tsnet's where it is there, in one run and in turns. See scripts/bench."""
import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "e2e")]

# pylint: disable=wrong-import-position
import pytest

import processes
from ends import (Broken, GO_ENV, OurEnd, Pair, PlainEnd, TOOLS, TSNETBENCH,
                  TsnetEnd)
from figures import Figures
from harness import BUILD, CLEAN_ENV, Lab, SHIM, TSRUN, stop
from unused import Unused

SECONDS = 1.5           # of each bulk run
PINGS = 3               # connections per side and round
THREADS = 4             # that connect at the same time
FIRST_BYTES = 5         # starts per side and round
TSNET_FIRST_BYTES = 2   # started again at once, it may take 5 s
EXEC_RUNS = 200
GROUPS = ("bulk", "derp", "pingpong", "connections", "first-byte", "rss",
          "exec", "unused")


class Bench:
    def __init__(self, options, directory, stack):
        self.directory, self.stack = directory, stack
        self.figures = Figures()
        self.rounds = options.rounds
        self.groups = options.only or GROUPS
        self.has_tsnet = os.access(TSNETBENCH, os.X_OK)
        self.began = time.monotonic()
        self.end = self.began + 95 + 25 * self.rounds + (
            150 if self.wants("unused") else 0)

    def say(self, text):
        print(f"  {text}", file=sys.stderr, flush=True)

    def subdirectory(self, name):
        path = os.path.join(self.directory, name)
        os.makedirs(path)
        return path

    def lab(self, name, *args):
        lab = Lab(self.subdirectory(name), *args)
        self.stack.callback(lab.close)
        return lab

    def makers(self, lab, directory, direct=True):
        """Side -> function that makes an end of it."""
        made = {"ours": lambda n: OurEnd(lab, directory, n, direct)}
        if self.has_tsnet:
            made["tsnet"] = lambda n: TsnetEnd(lab, directory, n, direct)
        return made

    def pair(self, kind, make, port):
        pair = Pair(kind, make, port)
        self.stack.callback(pair.close)
        return pair

    def pairs(self, lab, name, port, direct=True):
        directory = self.subdirectory(name)
        made = {}
        for side, make in self.makers(lab, directory, direct).items():
            kind = side + ("" if direct else "-derp")
            try:
                pair = self.pair(kind, make, port)
                pair.warm_up(direct)
                made[side] = pair
            except (Broken, pytest.fail.Exception) as e:
                if side == "ours":
                    raise
                self.figures.note(f"{kind}: left out: {e}")
        return made

    def ask(self, pair, tool, offset, words, limit):
        """One measurement; None, with a note, when it failed."""
        try:
            answer = pair.do(tool, offset, words, limit)
        except Broken as e:
            answer = {"error": str(e)}
        what = f"{pair.kind}: {tool} {words}"
        self.figures.raw.append({"what": what, **answer})
        if answer.get("error"):
            self.figures.note(f"{what}: {answer['error']}")
            return None
        if answer.get("errors"):
            self.figures.note(f"{what}: {answer['errors']} errors "
                              f"{answer.get('last_error', '')}")
        if answer.get("stalls"):
            self.figures.note(f"{what}: {answer['stalls']} connections took "
                              f"more than 1 s (max "
                              f"{answer['max_us'] / 1e6:.1f} s)")
        if answer.get("longest_write_ms", 0) > 1000:
            self.figures.note(f"{what}: a write took "
                              f"{answer['longest_write_ms']:.0f} ms")
        return answer

    def bulk(self, pairs, flows, suffix="", lab=None):
        figure = f"bulk {flows} flow{'s' if flows > 1 else ''}{suffix}"
        for side, pair in pairs.items():
            relay = lab and processes.cpu_seconds(lab.process.pid)
            said = self.ask(pair, "bulk send", 0, f"{flows} {SECONDS}",
                            SECONDS + 25)
            if not said or not said["bytes"]:
                continue
            gigabytes = said["bytes"] / 1e9
            self.figures.add(figure, "Mbit/s", side, said["mbit_s"])
            self.figures.add(figure + " CPU", "s/GB", side,
                             said["cpu_seconds"] / gigabytes)
            if lab:
                relay = processes.cpu_seconds(lab.process.pid) - relay
                self.figures.add(figure + " relay", "s/GB", side,
                                 relay / gigabytes)

    def pingpong(self, pairs, size, name):
        # Several short ones: where the scheduler puts the processes decides.
        for side, pair in [*pairs.items()] * PINGS:
            said = self.ask(pair, "pingpong ping", 1, f"{size} 0.25", 15)
            if said and said["round_trips"]:
                self.figures.add(f"ping-pong {name} p50", "us", side,
                                 said["p50_us"])
                self.figures.add(f"ping-pong {name} p99", "us", side,
                                 said["p99_us"])
                self.figures.add(f"ping-pong {name} CPU", "us", side,
                                 said["cpu_seconds"] * 1e6 /
                                 said["round_trips"])

    def connections(self, pairs, closer, offset):
        figure = f"connections, {closer} closes"
        for side, pair in pairs.items():
            said = self.ask(pair, "connrate run", offset,
                            f"{closer} {THREADS} 1", 25)
            if said:
                self.figures.add(figure, "1/s", side, said["per_second"])
                self.figures.add(figure + " p99", "us", side, said["p99_us"])
                self.figures.add(figure + " stalls", ">1 s", side,
                                 said["stalls"])

    # -- start to first byte -------------------------------------------------

    def first_byte(self, lab, pairs, round_no):
        directory = os.path.join(self.directory, "first")
        os.makedirs(directory, exist_ok=True)
        for i in range(FIRST_BYTES):
            for side, pair in pairs.items():
                where = f"{pair.server.ip}:{pair.port + 3}"
                if side == "plain":
                    self.time_first_byte("first byte, enrolled", side,
                                         curl(where), CLEAN_ENV)
                    continue
                if side == "tsnet" and i >= TSNET_FIRST_BYTES:
                    continue
                starter = our_start if side == "ours" else tsnet_start
                once = os.path.join(directory, side)
                fresh = f"{once}-{round_no}-{i}"
                name = f"{side}-first"
                self.time_first_byte("first byte, enrolled", side,
                                     *starter(lab, name, once, where),
                                     ignore=not os.path.exists(once))
                self.time_first_byte("first byte, new node", side,
                                     *starter(lab, f"{side}-{round_no}-{i}",
                                              fresh, where))

    def time_first_byte(self, figure, side, argv, env, ignore=False):
        err = os.path.join(self.directory, "first.err")
        with open(err, "wb") as f:
            start = time.monotonic()
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=f,
                                       env=env, close_fds=False)
            byte = process.stdout.read(1)
            took = (time.monotonic() - start) * 1000
            process.stdout.read()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                self.figures.note(f"{side}: {figure}: did not end")
                stop(process, signal.SIGKILL)
        if not byte:
            with open(err, encoding="utf-8", errors="replace") as f:
                self.figures.note(f"{side}: {figure}: no answer, status "
                                  f"{process.returncode}: {f.read()[-300:]}")
        elif not ignore:
            self.figures.add(figure, "ms", side, took)
            if took > 1000:
                self.figures.note(f"{side}: {figure}: {took:.0f} ms")

    # -- memory --------------------------------------------------------------

    def rss(self, peers):
        name = f"RSS {peers:,} peers"
        lab = self.lab(f"lab-{peers}", "--peers", str(peers - 1))
        directory = self.subdirectory(f"nodes-{peers}")
        for side, make in self.makers(lab, directory).items():
            pair = Pair(side, make, 7401)
            try:
                for end in (pair.server, pair.client):
                    self.figures.add(f"up with {peers:,} peers", "s", side,
                                     end.up_seconds)
                pair.warm_up(True)
                time.sleep(0.5)
                hosts = [e.process.pid for e in (pair.server, pair.client)]
                self.host_memory(name + ", idle", side, hosts, "rss")
                for pid in hosts:
                    processes.reset_peak(pid)
                self.ask(pair, "bulk send", 0, "1 1", 25)
                self.host_memory(name + ", peak in bulk", side, hosts, "peak")
                self.host_memory(name + ", after bulk", side, hosts, "rss")
            finally:
                pair.close()

    def host_memory(self, figure, side, hosts, key):
        """Of the larger of the two hosts."""
        found = [processes.memory_mb(pid) for pid in hosts]
        self.figures.raw.append({"what": f"{side}: {figure}", "hosts": found})
        self.figures.add(figure, "MB", side, max(m[key] for m in found))

    # -- programs that never use the tailnet -------------------------------------

    def exec_cost(self, client):
        tool = os.path.join(TOOLS, "execcost")
        command = [tool, SHIM, str(EXEC_RUNS), "true"]
        said = json.loads(subprocess.run(
            command, env=CLEAN_ENV, capture_output=True, text=True, timeout=30,
            check=True).stdout)
        self.figures.raw.append({"what": "exec, preloaded only", **said})
        inside = client.do(" ".join(command), 30)
        self.figures.raw.append({"what": "exec, under tsrun", **inside})
        for figure, answer in (("exec true", said),
                               ("exec true under tsrun", inside)):
            self.figures.add(figure, "us", "plain", answer["without_us"])
            self.figures.add(figure, "us", "ours", answer["with_us"])
            self.figures.add(figure + ", more", "us", "ours",
                             answer["more_us"])
            if answer["with_instructions"]:
                self.figures.add(figure + ", more instr.", "k", "ours", (
                    answer["with_instructions"] -
                    answer["without_instructions"]) / 1000)
        with_kb, without_kb = (status_kb(dict(CLEAN_ENV, **env)) for env in
                               ({"LD_PRELOAD": SHIM}, {}))
        self.figures.add("exec true, more memory", "KB", "ours",
                         with_kb - without_kb)

    def unused(self, end, number):
        if number == 0:
            self.bystanders = Unused(self.subdirectory("unused"), end.program,
                                     self.figures)
            self.bystanders.make()
        self.bystanders.find()
        self.bystanders.nginx()

    # -- the whole run -------------------------------------------------------

    def others(self):
        """Cores that what was not measured took away."""
        found = [r["other_cores"] for r in self.figures.raw
                 if "other_cores" in r]
        return max(statistics.median(found), 0.0) if found else 0.0

    def wants(self, *groups):
        return any(g in self.groups for g in groups)

    def in_time(self):
        if time.monotonic() < self.end:
            return True
        self.figures.note("out of time: the rest was left out")
        return False

    def run(self):
        if self.wants(*(g for g in GROUPS if g != "rss")):
            self.run_rounds()
        if self.wants("rss"):
            for peers in (2, 10_000):
                if self.in_time():
                    self.say(f"memory with {peers:,} peers")
                    self.rss(peers)

    def run_rounds(self):
        lab = self.lab("lab")
        where = self.subdirectory("plain")
        plain = self.pair("plain", lambda n: PlainEnd(where, n), 7101)
        tunnels = self.pairs(lab, "direct", 7201)
        everyone = {"plain": plain, **tunnels}
        derp = self.pairs(lab, "derp", 7301, False) if self.wants("derp") \
            else {}
        for number in range(self.rounds):
            if not self.in_time():
                return
            self.say(f"round {number + 1} of {self.rounds}")
            if self.wants("bulk"):
                self.bulk(everyone, 1)
                self.bulk(everyone, 8)
            if self.wants("derp"):
                self.bulk(derp, 1, " DERP", lab)
                self.bulk(derp, 8, " DERP", lab)
            if self.wants("pingpong"):
                self.pingpong(everyone, 1, "1 B")
                self.pingpong(everyone, 1024, "1 KB")
            if self.wants("connections"):
                self.connections(everyone, "client", 2)
                self.connections(everyone, "server", 3)
            if self.wants("first-byte"):
                self.first_byte(lab, everyone, number)
            if self.wants("exec"):
                self.exec_cost(tunnels["ours"].client)
            if self.wants("unused"):
                self.unused(tunnels["ours"].client, number)


def curl(where):
    return ["curl", "-sS", "--max-time", "15", f"http://{where}/"]


def our_start(lab, name, state, where):
    argv = [TSRUN, "--hostname", name, "--control-url", lab.url, "--state",
            state, *curl(where)]
    return argv, dict(CLEAN_ENV, TS_AUTHKEY="key-alice")


def tsnet_start(lab, name, state, where):
    argv = [TSNETBENCH, "-hostname", name, "-control-url", lab.url, "-dir",
            state, "get", where]
    return argv, dict(GO_ENV, TS_AUTHKEY="key-bob")


def status_kb(env):
    """Anonymous memory of a program that does next to nothing."""
    text = subprocess.run(["grep", "RssAnon", "/proc/self/status"], env=env,
                          capture_output=True, text=True, timeout=10,
                          check=True).stdout
    return int(text.split()[1])


def read_line(path):
    with open(path, encoding="utf-8") as f:
        return f.readline().strip()


def header(bench, options):
    return {
        "kernel": platform.release(), "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "congestion_control":
            read_line("/proc/sys/net/ipv4/tcp_congestion_control"),
        "load_at_start": os.getloadavg()[0],
        "rounds": options.rounds, "build": BUILD,
        "tsnet": TSNETBENCH if bench.has_tsnet else None,
        "when": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def parse_options():
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="Figures over the embedded tailnet.")
    parser.add_argument("--quick", action="store_const", const=3,
                        dest="rounds", help="3 rounds, under 3 minutes (default)")
    parser.add_argument("--rounds", type=int, metavar="N")
    parser.add_argument("--json", default=os.path.join(TOOLS, "results.json"),
                        metavar="FILE")
    parser.add_argument("--only", action="append", choices=GROUPS,
                        metavar="NAME", help=f"of {', '.join(GROUPS)}; may be "
                        "repeated")
    parser.set_defaults(rounds=3)
    return parser.parse_args()


def main():
    options = parse_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, \
            contextlib.ExitStack() as stack:
        bench = Bench(options, directory, stack)
        said = header(bench, options)
        print("bench: kernel {kernel}, {cores} cores for everything, "
              "congestion control {congestion_control}, load "
              "{load_at_start:.2f}, {rounds} rounds, {when}".format(**said),
              flush=True)
        if not bench.has_tsnet:
            print(f"bench: no {TSNETBENCH}: nothing to compare with but the "
                  "plain kernel (`make interop` builds the peers)")
        try:
            bench.run()
        finally:
            kept = os.environ.get("BENCH_KEEP")
            if kept:
                shutil.copytree(directory, kept, dirs_exist_ok=True,
                                ignore=lambda d, names: [
                                    n for n in names if n.endswith(".sock")])
            said["seconds"] = round(time.monotonic() - bench.began, 1)
            others = bench.others()
            said["other_cores"] = others
            bench.figures.dump(options.json, said)
            print(bench.figures.table())
            print(f"bench: meanwhile others (relay and this script included) "
                  f"used {others:.2f} of {said['cores']} cores (median)")
            for note in bench.figures.notes:
                print(f"note: {note}")
            print(f"bench: {said['seconds']} s; samples in {options.json}")


if __name__ == "__main__":
    main()
