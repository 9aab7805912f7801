"""The two ends of a measurement: programs that take command lines.

An end is a shell - plain, or under tsrun - or tsnetbench, which knows the same
commands. Each says its result in one line of JSON. A Pair is a server and a
client of one kind.
"""
import json
import os
import signal
import subprocess
import time

import processes
from harness import BUILD, CLEAN_ENV, Program, stop, wait_until

TOOLS = os.path.join(BUILD, "bench")
PEERS = os.environ.get("PEERS", os.path.join(BUILD, "interop-peers"))
TSNETBENCH = os.path.join(PEERS, "tsnetbench")
GO_ENV = dict(CLEAN_ENV, TS_NO_LOGS_NO_SUPPORT="true")
SHELL = ("sh", "-c", 'while read -r line; do eval "$line"; pids="$pids $!"; '
         'done; kill $pids 2>/dev/null; wait')


class Broken(Exception):
    """An end that did not answer; what it was asked is lost."""


class End:
    """Reads answers, uses CPU, is stopped. Children set process, out_path."""

    broken = None

    def begin(self, process, out_path):
        self.process, self.out_path, self.taken = process, out_path, 0

    def first_answer(self, ask):
        """An end that does not come up is stopped."""
        try:
            return ask()
        except Broken:
            self.close()
            raise

    def answer(self, limit):
        """The next line of output, decoded."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            with open(self.out_path, "rb") as f:
                f.seek(self.taken)
                line = f.readline()
            if line.endswith(b"\n"):
                self.taken += len(line)
                return json.loads(line)
            if self.process.poll() is not None:
                raise Broken(f"ended with status {self.process.returncode}")
            time.sleep(0.02)
        raise Broken(f"no answer in {limit} s")

    def write(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def do(self, line, limit):
        """Run one command; its answer."""
        if self.broken:
            raise Broken(self.broken)
        self.write(self.guarded(line))
        try:
            return self.answer(limit)
        except Broken as e:
            self.give_up(str(e))
            raise

    def serve(self, line):
        self.write(line + " &")
        self.answer(10)

    def cpu(self):
        return processes.cpu_seconds(self.process.pid)

    def close(self):
        left = [(p, processes.start_time(p))
                for p in processes.tree(self.process.pid)]
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            stop(self.process, signal.SIGKILL)
        for pid, started in left:
            if started and processes.start_time(pid) == started:
                os.kill(pid, signal.SIGKILL)


class ShellEnd(End):
    def guarded(self, line):
        return f"{line} || echo '{{\"error\": \"it failed\"}}'"

    def give_up(self, _why):
        """End the command, keep the shell."""
        shells = [p for p in processes.tree(self.process.pid)[:2]]
        for pid in processes.tree(shells[-1])[1:]:
            os.kill(pid, signal.SIGKILL)
        try:
            self.answer(5)
        except Broken as e:
            self.broken = str(e)


class PlainEnd(ShellEnd):
    ip = "127.0.0.1"

    def __init__(self, directory, hostname):
        out = os.path.join(directory, hostname + ".out")
        with open(out, "ab") as f:
            process = subprocess.Popen(
                SHELL, stdin=subprocess.PIPE, stdout=f,
                stderr=subprocess.DEVNULL, env=CLEAN_ENV)
        self.begin(process, out)

    def give_up(self, why):
        self.broken = why


class OurEnd(ShellEnd):
    def __init__(self, lab, directory, hostname, direct):
        start = time.monotonic()
        self.program = Program(
            lab, directory, hostname, *SHELL, stdin=subprocess.PIPE,
            options=["--wait", "--log-level",
                     os.environ.get("BENCH_LOG_LEVEL", "warn")],
            env={"TSNET_DIRECT": "yes" if direct else "no"})
        self.begin(self.program.process, self.program.out_path)
        self.first_answer(lambda: self.do("echo 1", 60))
        self.up_seconds = time.monotonic() - start
        self.ip = self.program.cli("ip").stdout.split()[0]

    def path_to(self, ip):
        """The direct address in use towards a peer, or ''."""
        for peer in (self.program.status().get("Peer") or {}).values():
            if ip in peer.get("TailscaleIPs", []):
                return peer.get("CurAddr") or ""
        return ""


class TsnetEnd(End):
    def __init__(self, lab, directory, hostname, direct):
        where = os.path.join(directory, hostname)
        os.makedirs(where)
        out = os.path.join(where, "out")
        env = dict(GO_ENV, TS_AUTHKEY="key-bob")
        if not direct:
            env["TS_DEBUG_ALWAYS_USE_DERP"] = "true"
        start = time.monotonic()
        with open(out, "ab") as f, open(os.path.join(where, "err"), "ab") as e:
            process = subprocess.Popen(
                [TSNETBENCH, "-hostname", hostname, "-dir",
                 os.path.join(where, "state"), "-control-url", lab.url],
                stdin=subprocess.PIPE, stdout=f, stderr=e, env=env, cwd=where)
        self.begin(process, out)
        self.ip = self.first_answer(lambda: self.answer(60))["up"]
        self.up_seconds = time.monotonic() - start

    def guarded(self, line):
        return line

    def give_up(self, why):
        self.broken = why

    def path_to(self, ip):
        return self.do(f"path to {ip}", 5)["direct"]


class Pair:
    """A server with every service and a client of the same kind."""

    def __init__(self, kind, make, port):
        self.kind, self.port, self.ends = kind, port, []
        try:
            self.server = self.added(make(kind + "-server"))
            self.client = self.added(make(kind + "-client"))
            self.serve()
        except BaseException:
            self.close()
            raise

    def added(self, end):
        self.ends.append(end)
        return end

    def serve(self):
        for offset, service in enumerate(("bulk serve {}", "pingpong serve {}",
                                          "connrate serve {} client",
                                          "connrate serve {} server")):
            self.server.serve(os.path.join(
                TOOLS, service.format(self.port + offset)))

    def do(self, tool, offset, words, limit):
        """A client command against service number offset, with the CPU that
        both ends used for it, and everything else on the machine."""
        start, machine = time.monotonic(), processes.machine_cpu_seconds()
        before = self.cpu()
        program, _, verb = tool.partition(" ")
        answer = self.client.do(
            f"{os.path.join(TOOLS, program)} {verb} {self.server.ip} "
            f"{self.port + offset} {words}", limit)
        answer["cpu_seconds"] = self.cpu() - before
        machine = processes.machine_cpu_seconds() - machine
        answer["other_cores"] = ((machine - answer["cpu_seconds"]) /
                                 (time.monotonic() - start))
        return answer

    def cpu(self):
        return sum(end.cpu() for end in self.ends)

    def warm_up(self, direct):
        """Until the path is the one to be measured."""
        def settled():
            self.do("pingpong ping", 1, "1 0.05", 15)
            return bool(self.client.path_to(self.server.ip)) == direct
        wait_until(settled, f"{self.kind} to be {'direct' if direct else 'relayed'}")

    def close(self):
        for end in reversed(self.ends):
            end.close()
