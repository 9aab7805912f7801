"""Many peers of one node, all of them active at once, then silent."""
import concurrent.futures
import json
import os
import statistics
import time

from harness import wait_until
from scale_end import TOOLS, End

CROWD_PORT, BULK_PORT = 7511, 7512
AT_ONCE = 4     # nodes that start
BULK_NODES = 4
TALK_SECONDS = 4
CPU_SECONDS = 5
# A keepalive after 10 s, and 45 s later heartbeats end.
FORGOTTEN_SECONDS = 65
# Above these something is walked that should not be.
TRUSTED_MS_PER_S = 30
FORGOTTEN_MS_PER_S = 3
GROWTH_MB, KB_EACH = 4, 64


def jain(shares):
    """1: all have the same. 1/n: one has everything."""
    return sum(shares) ** 2 / (len(shares) * sum(s * s for s in shares))


class Peers:
    """A hub and the nodes that talk with it."""

    def __init__(self, scale, lab, directory, count):
        self.scale, self.count = scale, count
        self.lab, self.directory = lab, os.path.join(directory, "peers")
        self.hub, self.nodes, self.silent_since = None, [], 0

    def close(self):
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            list(pool.map(End.close, self.nodes + [self.hub]))

    def start(self):
        self.hub = End(self.lab, self.directory, "hub")
        for line in (f"crowd serve {CROWD_PORT}", f"bulk serve {BULK_PORT}"):
            self.hub.do(f"{TOOLS}/{line} &", 10)
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            self.nodes = list(pool.map(
                lambda n: End(self.lab, self.directory, f"node-{n}"),
                range(self.count)))
        took = time.monotonic() - began
        self.scale.row(f"{self.count} nodes: started", "1/s",
                       self.count / took)

    def all_say(self, nodes, words, limit):
        for node in nodes:
            node.say(f"{TOOLS}/{words}")
        return [node.answer(limit) for node in nodes]

    def direct(self):
        peers = json.loads(self.hub.program.cli("--json", "status").stdout)
        return sum(bool(p["CurAddr"]) for p in peers["Peer"].values())

    def meet(self):
        """All of them have something to say, and nobody knows anybody."""
        rss, cpu, began = self.hub.rss_mb(), self.hub.cpu_ms(), time.monotonic()
        said = self.all_say(
            self.nodes, f"crowd talk {self.hub.ip} {CROWD_PORT} 1 0.1", 60)
        served = time.monotonic() - began
        wait_until(lambda: self.direct() >= self.count, "direct paths", 30)
        self.scale.row(f"{self.count} peers at once: all served, all direct",
                       "s", served, time.monotonic() - began)
        self.scale.row("first round trip of them: p50, slowest", "ms",
                       statistics.median(s["p50_us"] for s in said) / 1000,
                       max(s["max_us"] for s in said) / 1000)
        self.scale.row("CPU of the hub for it, each peer", "ms",
                       (self.hub.cpu_ms() - cpu) / self.count)
        self.check_errors(said)
        grown = self.hub.rss_mb() - rss
        self.scale.row("memory of the hub", "MB", self.hub.rss_mb())
        self.scale.row("of that, each peer", "KB", grown * 1024 / self.count)
        self.scale.check(grown < GROWTH_MB + KB_EACH * self.count / 1024,
                         f"{grown:.1f} MB for {self.count} peers")

    def check_errors(self, said):
        errors = sum(s["errors"] for s in said)
        self.scale.check(errors == 0, f"{self.count} peers: {errors} errors")

    def talk(self):
        some, many = self.nodes[:BULK_NODES], self.nodes[BULK_NODES:]
        cpu = self.hub.cpu_ms()
        for node in some:
            node.say(f"{TOOLS}/bulk send {self.hub.ip} {BULK_PORT} 1 "
                     f"{TALK_SECONDS}")
        said = self.all_say(many, f"crowd talk {self.hub.ip} {CROWD_PORT} 1 "
                            f"{TALK_SECONDS}", 60)
        bulk = [node.answer(60)["mbit_s"] for node in some]
        used = (self.hub.cpu_ms() - cpu) / TALK_SECONDS
        trips = [s["round_trips"] for s in said]
        self.check_errors(said)
        self.scale.row(f"{len(many)} talk, {len(some)} send: round trips",
                       "1/s", sum(trips) / TALK_SECONDS)
        self.scale.row("p50 and p99 of them, the worst peer's p99", "ms",
                       *(statistics.median(s[p] for s in said) / 1000
                         for p in ("p50_us", "p99_us")),
                       max(s["p99_us"] for s in said) / 1000)
        self.scale.row("slowest peer's share of the mean, Jain's index", "%",
                       100 * min(trips) / statistics.mean(trips),
                       100 * jain(trips))
        self.scale.row("what the others send: slowest, all", "Mbit/s",
                       min(bulk), sum(bulk))
        self.scale.row("CPU of the hub meanwhile", "ms/s", used)
        self.scale.check(min(trips) > 0, "a peer got nothing")
        self.scale.check(self.direct() == self.count, "paths were lost")
        self.silent_since = time.monotonic()

    def cpu(self):
        """Of the hub, and of all others together, in ms/s."""
        def all_ms():
            return self.hub.cpu_ms(), sum(n.cpu_ms() for n in self.nodes)
        before = all_ms()
        time.sleep(CPU_SECONDS)
        return [(b - a) / CPU_SECONDS for a, b in zip(before, all_ms())]

    def fall_silent(self):
        hub, others = self.cpu()
        self.scale.row("silent, but paths are kept: hub, each other", "ms/s",
                       hub, others / self.count)
        self.scale.check(hub < TRUSTED_MS_PER_S, "silent peers cost CPU")

    def be_forgotten(self):
        passed = time.monotonic() - self.silent_since
        time.sleep(max(0, FORGOTTEN_SECONDS - passed))
        hub, others = self.cpu()
        self.scale.row(f"{FORGOTTEN_SECONDS} s later: hub, each other",
                       "ms/s", hub, others / self.count)
        self.scale.check(hub < FORGOTTEN_MS_PER_S, "forgotten peers cost CPU")
