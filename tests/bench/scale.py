"""Many peers of one node, many connections through one host: what each costs,
whether the idle ones are felt, and whether anything stays behind. See
scripts/scale."""
import argparse
import contextlib
import os
import signal
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "e2e")]

# pylint: disable=wrong-import-position
from harness import Lab
from scale_deltas import deltas
from scale_end import TOOLS, End
from scale_peers import Peers

CROWD_PORT, RATE_PORT, PING_PORT = 7501, 7502, 7503
SETTLE_SECONDS = 3
# Above these it is a leak. Ended flows stay in the table for a minute, or until
# it is full: 49,152 entries, 12 MB with the table itself.
RSS_GROWTH_MB = 2
FD_GROWTH = 4


class Scale:
    def __init__(self, options, client, server):
        self.options, self.client, self.server = options, client, server
        self.ends = (client, server)
        self.rows, self.complaints = [], []

    def row(self, what, unit, *values, form="10,.1f"):
        self.rows.append((what, unit, values))
        print(f"{what:52} {unit:6} " +
              " ".join(format(v, form) for v in values), flush=True)

    def check(self, is_right, text):
        if not is_right:
            self.complaints.append(text)

    def both(self, fn):
        return [fn(end) for end in self.ends]

    def tool(self, words, port, rest, limit):
        program, _, verb = words.partition(" ")
        said = self.client.do(f"{TOOLS}/{program} {verb} {self.server.ip} "
                              f"{port} {rest}", limit)
        if said.get("errors"):
            self.complaints.append(f"{words} {rest}: {said['errors']} errors: "
                                   f"{said.get('last_error')}")
        return said

    def serve(self):
        for line in (f"crowd serve {CROWD_PORT}",
                     f"connrate serve {RATE_PORT} client",
                     f"pingpong serve {PING_PORT}"):
            self.server.do(f"{TOOLS}/{line} &", 10)

    def ping(self, what):
        said = [self.tool("pingpong ping", PING_PORT, "1 0.5", 10)
                for _ in range(3)]
        self.row(f"ping-pong 1 B p50, {what}", "us",
                 min(s["p50_us"] for s in said))

    def idle_cpu(self, what):
        before = self.both(End.cpu_ms)
        time.sleep(SETTLE_SECONDS)
        used = [(a - b) / SETTLE_SECONDS
                for a, b in zip(self.both(End.cpu_ms), before)]
        self.row(f"CPU of the hosts, {what}", "ms/s", *used)
        self.check(max(used) < 10, f"hosts use CPU: {what}")

    # -- the three measurements ----------------------------------------------

    def idle(self):
        count = self.options.idle
        rss = self.both(End.rss_mb)
        self.ping("alone")
        self.idle_cpu("nothing open")
        said = self.client.do(
            f"{TOOLS}/crowd hold {self.server.ip} {CROWD_PORT} {count} & "
            "held=$!", 60 + count / 200)
        self.check(said["opened"] == count,
                   f"{said['opened']} of {count} opened: {said['last_error']}")
        self.row(f"{count:,} idle: opened", "1/s", said["open_per_second"])
        self.row("memory of the hosts, each connection", "KB",
                 *[(a - b) * 1024 / count
                   for a, b in zip(self.both(End.rss_mb), rss)])
        self.idle_cpu("idle connections")
        self.ping("beside idle connections")

    def busy(self):
        said = self.tool("crowd talk", CROWD_PORT,
                         f"{self.options.busy} {SETTLE_SECONDS}", 60)
        self.row(f"{self.options.busy:,} busy beside them: round trips", "1/s",
                 said["round_trips"] / SETTLE_SECONDS)
        self.row("p50, p99 of them", "ms", said["p50_us"] / 1000,
                 said["p99_us"] / 1000)

    def programs(self, fds):
        """Each is a process of its own, and none may starve."""
        count = self.options.programs
        self.client.say(f"for i in $(seq {count}); do {TOOLS}/connrate run "
                        f"{self.server.ip} {RATE_PORT} client 1 "
                        f"{SETTLE_SECONDS} & done; wait; echo 1")
        said = [self.client.answer(60) for _ in range(count)]
        rates = [s["per_second"] for s in said]
        self.row(f"{count} programs at once: connections", "1/s", sum(rates))
        self.row("of the slowest and the fastest of them", "1/s", min(rates),
                 max(rates))
        self.check(sum(s["errors"] for s in said) == 0,
                   f"errors of {count} programs: {said}")
        self.check(sum(s["stalls"] for s in said) == 0,
                   f"{count} programs: connections that took over 1 s")
        self.answer_ends(fds, "the programs ended")

    def end_idle(self, fds):
        self.client.say("kill $held; wait $held; echo 1")
        self.answer_ends(fds, "the idle ones ended")

    def answer_ends(self, fds, what):
        self.client.answer(30)
        def ended():
            return all(now <= before + FD_GROWTH for now, before in
                       zip(self.both(End.fds), fds))
        began = time.monotonic()
        while not ended() and time.monotonic() < began + 30:
            time.sleep(0.1)
        self.check(ended(), f"descriptors left when {what}: {fds} before, "
                   f"{self.both(End.fds)} now")

    def rate(self, fds):
        """Until the table is full of ended flows, then for all the time."""
        rates, rss = [], []
        end = time.monotonic() + self.options.seconds
        while time.monotonic() < end:
            said = self.tool("connrate run", RATE_PORT, "client 8 5", 60)
            self.check(said["stalls"] == 0, f"{said['stalls']} stalls")
            rates.append(said["per_second"])
            rss.append(self.both(End.rss_mb))
        self.row("connections", "1/s", min(rates), max(rates))
        self.row("memory of the hosts after it", "MB", *rss[-1])
        half = rss[len(rss) // 2]
        if sum(rates[:len(rates) // 2]) * 5 > 65536:
            self.check(all(b - a < RSS_GROWTH_MB
                           for a, b in zip(half, rss[-1])),
                       f"memory grows: {half} MB half-way, {rss[-1]} MB now")
        self.client.say("echo 1")
        self.answer_ends(fds, "nothing connects")
        self.idle_cpu("after it")


def main():
    parser = argparse.ArgumentParser(
        prog="scripts/scale", description="Many connections through one host.")
    parser.add_argument("--idle", type=int, default=10_000, metavar="N")
    parser.add_argument("--busy", type=int, default=2_000, metavar="N")
    parser.add_argument("--seconds", type=int, default=60, metavar="S",
                        help="of new connections, as many as go")
    parser.add_argument("--programs", type=int, default=50, metavar="N",
                        help="that connect at the same time")
    parser.add_argument("--peers", type=int, default=200, metavar="N",
                        help="of one node, all active at once")
    parser.add_argument("--tailnet", type=int, default=10_000, metavar="N",
                        help="peers that a node knows, and that change")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    with tempfile.TemporaryDirectory(prefix="scale-") as directory, \
            contextlib.ExitStack() as stack:
        os.makedirs(os.path.join(directory, "lab"))
        lab = Lab(os.path.join(directory, "lab"))
        stack.callback(lab.close)
        ends = []
        for name in ("client", "server"):
            ends.append(End(lab, directory, name))
            stack.callback(ends[-1].close)
        scale = Scale(options, *ends)
        scale.serve()
        peers = Peers(scale, lab, directory, options.peers)
        if options.tailnet:
            deltas(scale, directory, options.tailnet)
        if options.peers:
            stack.callback(peers.close)
            peers.start()
            peers.meet()
            peers.talk()
            peers.fall_silent()
        scale.ping("first")
        time.sleep(1)
        fds = scale.both(End.fds)
        if options.idle:
            scale.idle()
            if options.busy:
                scale.busy()
            scale.end_idle(fds)
        if options.programs:
            scale.programs(fds)
        if options.seconds:
            scale.rate(fds)
        if options.peers:
            peers.be_forgotten()
        for text in scale.complaints:
            print(f"scale: {text}")
    return 1 if scale.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
