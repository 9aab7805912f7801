"""What a program costs to start, and to have: the first byte, and memory."""
import json
import os
import signal
import subprocess
import time

from ends import FAILURES, PORTS, TOOLS, TSNETBENCH
from harness import CLEAN_ENV, SHIM, TSRUN, stop
from tunnels import GO_ENV
from world import enter
import processes

FIRST_BYTES = 5         # starts per side and round
OTHERS_FIRST_BYTES = 2  # started again at once, tsnet may take 5 s
EXEC_RUNS = 200
FRESH, AGAIN = "first byte, new node", "first byte, again at once"


class FirstByte:
    """From the start of a program to its first byte through the tunnel: as a
    node that was never there, and right after its last run ended."""

    def __init__(self, directory, tailnet, figures):
        self.directory, self.tailnet = directory, tailnet
        self.figures, self.lane = figures, None

    def measure(self, side, pair, lane, round_no):
        where = f"{pair.server.ip}:{PORTS['connrate server']}"
        self.lane = lane
        starts = {"ours": FIRST_BYTES, "plain": FIRST_BYTES}
        for i in range(starts.get(side, OTHERS_FIRST_BYTES)):
            if side == "plain":
                self.time(AGAIN, side, curl(where), CLEAN_ENV)
            elif side == "ours":
                self.both(self.our_start, side, where, f"{round_no}-{i}")
            elif side == "tsnet":
                self.both(self.tsnet_start, side, where, f"{round_no}-{i}")
            else:
                self.daemon(side, pair, where, f"{round_no}-{i}")

    def both(self, starter, side, where, number):
        fresh = f"{side}-{number}"
        for figure in (FRESH, AGAIN):
            self.time(figure, side, *starter(fresh, where))

    def daemon(self, side, pair, where, number):
        """The pair's own, started again beside the shell that it carries; with
        what it takes until it says that it is up, and knows its peers."""
        tunnel = pair.client.tunnel
        argv = ["timeout", "15", "sh", "-c", 'until "$@"; do sleep 0.01; done',
                "sh", *curl(where), *tunnel.curl]
        fresh = os.path.join(self.directory, f"{side}-{number}")
        os.makedirs(fresh)
        starts = [(AGAIN, fresh)]
        if tunnel.hostname:     # WireGuard has no nodes
            starts.insert(0, (FRESH, fresh))
        name = tunnel.hostname and f"{side}-{number}"
        try:
            for figure, directory in starts:
                tunnel.close()
                self.time(figure, side, argv, CLEAN_ENV,
                          lambda d=directory: tunnel.start(d, name))
        except FAILURES as e:
            self.figures.note(f"{side}: first byte: {e}")
            pair.client.broken = str(e)

    def our_start(self, name, where):
        argv = [TSRUN, "--hostname", name, "--control-url", self.tailnet.url,
                "--state", os.path.join(self.directory, name), *curl(where)]
        return argv, dict(CLEAN_ENV, TS_AUTHKEY=self.tailnet.key)

    def tsnet_start(self, name, where):
        argv = [TSNETBENCH, "-hostname", name, "-control-url",
                self.tailnet.url, "-dir", os.path.join(self.directory, name),
                "get", where]
        return argv, dict(GO_ENV, TS_AUTHKEY=self.tailnet.key)

    def time(self, figure, side, argv, env, before=None):
        err = os.path.join(self.directory, "first.err")
        with open(err, "wb") as f:
            start = time.monotonic()
            if before:
                before()
            process = subprocess.Popen(
                [*enter(self.lane.names["client"]), *argv],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=f,
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
            return
        self.figures.add(figure, "ms", side, took)
        if took > 1000:
            self.figures.note(f"{side}: {figure}: {took:.0f} ms")


def curl(where):
    return ["curl", "-sS", "--max-time", "15", f"http://{where}/"]


class Memory:
    """Of the process that has the tunnel, in the larger of the two ends."""

    def __init__(self, traffic):
        self.traffic, self.figures = traffic, traffic.figures

    def idle(self, pairs, name):
        for side, pair in pairs.items():
            if side != "plain":
                self.add(name + ", idle", side, pair.ends, "rss")

    def in_bulk(self, pairs, name):
        for side, pair in pairs.items():
            if side == "plain":
                continue
            try:
                for end in pair.ends:
                    processes.reset_peak(end.host())
                if self.traffic.ask(pair, "bulk send", "bulk", "8 1.5", 25):
                    self.add(name + ", peak in bulk", side, pair.ends, "peak")
            except FAILURES as e:
                self.figures.note(f"{side}: {name}: {e}")

    def add(self, figure, side, ends, key):
        found = [processes.memory_mb(end.host()) for end in ends]
        self.figures.raw.append({"what": f"{side}: {figure}", "hosts": found})
        self.figures.add(figure, "MB", side, max(m[key] for m in found))


def exec_cost(figures, client):
    """What preloading costs a program that never uses the tailnet."""
    command = [os.path.join(TOOLS, "execcost"), SHIM, str(EXEC_RUNS), "true"]
    alone = json.loads(subprocess.run(
        command, env=CLEAN_ENV, capture_output=True, text=True, timeout=30,
        check=True).stdout)
    inside = client.do(" ".join(command), 30)
    figures.raw.append({"what": "exec, preloaded only", **alone})
    figures.raw.append({"what": "exec, under tsrun", **inside})
    for figure, answer in (("exec true", alone),
                           ("exec true under tsrun", inside)):
        figures.add(figure, "us", "plain", answer["without_us"])
        figures.add(figure, "us", "ours", answer["with_us"])
        figures.add(figure + ", more", "us", "ours", answer["more_us"])
        if answer["with_instructions"]:
            figures.add(figure + ", more instr.", "k", "ours", (
                answer["with_instructions"] -
                answer["without_instructions"]) / 1000)
    with_kb, without_kb = (status_kb(dict(CLEAN_ENV, **env)) for env in
                           ({"LD_PRELOAD": SHIM}, {}))
    figures.add("exec true, more memory", "KB", "ours", with_kb - without_kb)


def status_kb(env):
    """Anonymous memory of a program that does next to nothing."""
    text = subprocess.run(["grep", "RssAnon", "/proc/self/status"], env=env,
                          capture_output=True, text=True, timeout=10,
                          check=True).stdout
    return int(text.split()[1])
