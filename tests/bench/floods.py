"""What floods cost a transfer: its rate before, during and after each kind.

The flood's own program and both ends of the transfer share this machine's
processors, so a rate during a flood says what is left of all of that; the
flood's share of a processor is beside it. Run by `make floods`, in a network
namespace that has nothing but loopback.
"""
import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "e2e"))
import test_floods as floods  # noqa: E402
from harness import CLEAN_ENV, Lab, Program, set_loopback_up  # noqa: E402

BULK = os.path.join(os.path.dirname(__file__), "..", "e2e", "apps",
                    "bulk_rate.py")
PEERS = ["syn", "udp", "echo", "tsmp", "pings"]
PORT, ECHO_PORT = 7000, 7001
HALF = 0.5
CLOCK = os.sysconf("SC_CLK_TCK")


def cpu_s(pid):
    """Of a process, its threads included."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK


class Scene:
    """A transfer that never ends, towards the node that is flooded."""

    def __init__(self, directory, args):
        self.directory, self.args = directory, args
        self.parts = contextlib.ExitStack()
        try:
            self.open()
        except BaseException:
            self.close()
            raise

    def open(self):
        self.lab = Lab(self.directory)
        self.parts.callback(self.lab.close)
        self.server = self.program(
            "server", "sh", "-c", f"python3 {floods.ECHO} {ECHO_PORT} & "
            f"exec python3 -u {BULK} serve {PORT}")
        self.server.wait_running().wait_listening(ECHO_PORT)
        floods.wait_until(lambda: "ready" in self.server.out, "the server")
        self.client = self.program("client", "python3", "-u", BULK, "send",
                                   "server", str(PORT)).wait_running()
        floods.wait_until(lambda: self.received() > 50e6 and
                          "now using" in self.server.log,
                          "a direct transfer")

    def program(self, *argv):
        program = Program(self.lab, self.directory, *argv)
        self.parts.callback(program.stop)
        return program

    def received(self):
        """Bytes, as the server's program counts them."""
        self.server.alive()
        self.client.alive()
        counts = [n for n in self.server.out.split("\n")[:-1] if n.isdigit()]
        return int(counts[-1]) if counts else 0

    def rate(self, seconds):
        """MB/s."""
        start, before = time.monotonic(), self.received()
        time.sleep(seconds)
        return (self.received() - before) / (time.monotonic() - start) / 1e6

    def start(self, kind):
        options = [f"known={self.lab.node('client')['disco']}"]
        if kind in PEERS:
            options = floods.hostile(self.lab, self.directory, "server", kind,
                                     ECHO_PORT)
        floods.PER_S, floods.SECONDS = self.args.per_s, self.args.seconds + 1
        return floods.start_flood(self.lab, "server", kind, *options)

    def measure(self, kind):
        pid = self.server.process.pid
        memory, before = floods.peak_kb(self.server), self.rate(2)
        flood = self.start(kind)
        time.sleep(0.5)
        mine, its = cpu_s(flood.pid), cpu_s(pid)
        during = self.rate(self.args.seconds - 0.5)
        took = self.args.seconds - 0.5
        row = {"kind": kind, "before": before, "during": during,
               "flood CPU": (cpu_s(flood.pid) - mine) / took,
               "host CPU": (cpu_s(pid) - its) / took}
        sent = floods.end_floods([flood])[kind]
        row["per s"] = sent / (self.args.seconds + 1)
        row["more MB"] = (floods.peak_kb(self.server) - memory) / 1024
        time.sleep(0.5)
        row["after"] = self.rate(2)
        row["ratio"] = during / statistics.mean((before, row["after"]))
        return row

    def close(self):
        self.parts.close()


HEAD = ["kind", "per s", "before", "during", "after", "ratio", "flood CPU",
        "host CPU", "more MB"]


def show(row):
    print("| " + " | ".join(
        str(row[h]) if h == "kind" else
        f"{row[h]:.2f}" if h == "ratio" or "CPU" in h else f"{row[h]:.0f}"
        for h in HEAD) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-s", type=int, default=20000)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--json", help="write the rows there as well")
    parser.add_argument("kinds", nargs="*")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    set_loopback_up()
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        with contextlib.closing(Scene(directory, args)) as scene:
            print("| " + " | ".join(HEAD) + " |\n" + "|---" * len(HEAD) + "|")
            for kind in args.kinds or floods.STRANGERS + PEERS:
                rows.append(scene.measure(kind))
                show(rows[-1])
            told = floods.TOLD.findall(scene.server.log)
    print("\nlines in the log:", *told, sep="\n  ")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump(rows, f, indent=1)
    slow = [r["kind"] for r in rows if r["ratio"] < HALF]
    if slow:
        sys.exit(f"below half its rate during: {', '.join(slow)}")


if __name__ == "__main__":
    main()
