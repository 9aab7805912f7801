"""One node of a tailnet of 10,000: its start, its memory, and what a change of
a peer costs it."""
import contextlib
import json
import os
import time

from harness import Lab, wait_until
from scale_end import End

CHANGES = 2000
PATIENCE = 60


class Deltas:
    def __init__(self, scale, directory, count):
        self.scale, self.count = scale, count
        self.directory = os.path.join(directory, "deltas")
        os.makedirs(self.directory)
        self.lab = Lab(self.directory, "--peers", str(count - 1))
        self.node = None

    def close(self):
        if self.node:
            self.node.close()
        self.lab.close()

    def start(self):
        began = time.monotonic()
        self.node = End(self.lab, self.directory, "many")
        self.scale.row(f"{self.count:,} peers: up after", "s",
                       time.monotonic() - began, form="10,.2f")
        self.scale.row("memory of the host", "MB", self.node.rss_mb())

    def marker(self, peer):
        """What comes last is there: so are those before it."""
        name = self.lab.command(f"rename {peer['name'].split('.')[0]} "
                                f"mark-{time.monotonic_ns()}")["name"]

        def has_name():
            found = self.node.program.cli("--json", "whois", peer["ips"][0])
            return name in found.stdout
        wait_until(has_name, "the last change", PATIENCE)

    def changes(self, what, command):
        peers = self.peers()
        cpu, began = self.node.cpu_ms(), time.monotonic()
        for peer in peers:
            self.lab.command(command(peer))
        self.marker(peers[-1])
        took = time.monotonic() - began
        used = self.node.cpu_ms() - cpu
        self.scale.row(f"{what}: in all, as many as a core takes", "1/s",
                       len(peers) / took, 1000 * len(peers) / used)

    def run(self):
        self.start()
        rss = self.node.rss_mb()
        self.changes("patches of a peer", self.patch)
        self.changes("peers with new keys", lambda peer:
                     f"rekey {peer['name'].split('.')[0]}")
        self.scale.check(self.node.rss_mb() < rss + 2, "changes cost memory: "
                         f"{rss} MB before, {self.node.rss_mb()} now")

    def peers(self):
        return [n for n in self.lab.nodes() if n["synthetic"]][:CHANGES]

    @staticmethod
    def patch(peer):
        change = {"NodeID": peer["id"], "DERPRegion": 900, "Online": False,
                  "Endpoints": [f"198.18.{peer['id'] % 250}.9:1234"]}
        return "send-json many " + json.dumps({"PeersChangedPatch": [change]})


def deltas(scale, directory, count):
    with contextlib.closing(Deltas(scale, directory, count)) as many:
        many.run()
