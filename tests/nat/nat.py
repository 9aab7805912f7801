"""make nat: which path every pair of sites takes, ours and tailscaled's, and
what a transfer does while the path changes. See scripts/nat-lab."""
import argparse
import contextlib
import itertools
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "bench"),
                os.path.join(HERE, "..", "e2e")]

# pylint: disable=wrong-import-position
from nodes import start_all
from sites import HUB6, Internet, Site
import transfers
from tunnels import GO_ENV, PEERS
from world import Tailnet

SIDES = ("ours", "tailscaled")
PINGS = 12              # until a pair that should be direct has to be
PINGS_RELAYED = 4       # of a pair that stays at the relay
PAIRS_AT_A_TIME = 4


def read_expected():
    """(kind, kind) -> "d", "6", "e" or "-"; hairpin's two are one pair."""
    kinds, table = None, {}
    with open(os.path.join(HERE, "expected.txt"), encoding="utf-8") as f:
        for line in f:
            words = line.lstrip("# ").split()
            if line.startswith(";"):
                continue
            if line.startswith("#"):
                kinds = words
            elif words[0] == "hairpin":
                table["hairpin", "hairpin"] = words[1]
            else:
                for kind, path in zip(kinds, words[1:]):
                    table[kind, words[0]] = path
    return table


def make_sites(internet, kinds):
    sites = []
    for kind in kinds:
        a = Site(internet, f"{kind}-a", kind)
        shares = kind in ("cgnat", "hairpin")
        sites += [a, Site(internet, f"{kind}-b", kind, a if shares else None)]
    return sites


def kind_of(path):
    """As in expected.txt; "!" when nothing came back."""
    if path in ("derp", "none"):
        return "-" if path == "derp" else "!"
    return "6" if path.startswith("[") else "d"


def is_expected(found, expected):
    kind = kind_of(found[0])
    return kind == expected or (expected == "e" and kind in "d6")


class Lab:
    def __init__(self, options, directory, stack):
        self.options, self.directory = options, directory
        self.expected = {
            pair: path for pair, path in read_expected().items()
            if not options.kinds or set(pair) <= set(options.kinds)}
        kinds = transfers.kinds(options) if options.only == "transfers" \
            else list(dict.fromkeys(itertools.chain(*self.expected)))
        internet = Internet()
        stack.callback(internet.close)
        self.sites = {s.name: s for s in make_sites(internet, kinds)}
        self.results = {}       # side -> pair -> (path, seconds)
        self.transfers = {}     # side -> event -> what happened

    def run(self, side):
        directory = os.path.join(self.directory, side)
        os.makedirs(directory)
        with contextlib.ExitStack() as stack:
            tailnet = Tailnet(directory, PEERS, GO_ENV, HUB6)
            stack.callback(tailnet.close)
            say(f"{side}: {len(self.sites)} nodes start")
            nodes = start_all(side, directory, self.sites.values(), tailnet,
                              stack, say)
            if not self.options.only or "pairs" in self.options.only:
                say(f"{side}: {len(self.expected)} pairs")
                self.results[side] = self.pairs(nodes)
            if not self.options.only or "transfers" in self.options.only:
                self.transfers[side] = transfers.run(nodes, tailnet, say,
                                                     self.options)
            self.keep_logs(side, nodes)

    def keep_logs(self, side, nodes):
        if not self.options.logs:
            return
        os.makedirs(self.options.logs, exist_ok=True)
        for name, node in nodes.items():
            shutil.copy(node.log, os.path.join(self.options.logs,
                                               f"{side}-{name}.log"))

    def pairs(self, nodes):
        def measure(pair):
            a, b = nodes.get(f"{pair[0]}-a"), nodes.get(f"{pair[1]}-b")
            if not a or not b:
                return "none", 0.0
            count = PINGS if self.expected[pair] != "-" else PINGS_RELAYED
            return a.ping(b, count)
        with ThreadPoolExecutor(PAIRS_AT_A_TIME) as pool:
            return dict(zip(self.expected, pool.map(measure, self.expected)))

    # -- what came of it -----------------------------------------------------

    def verdict(self, pair):
        """"" when all is well, else what is not."""
        ours = self.results.get("ours", {}).get(pair)
        theirs = self.results.get("tailscaled", {}).get(pair)
        if not ours or is_expected(ours, self.expected[pair]):
            return ""
        if theirs and kind_of(ours[0]) in "-!" and \
                is_expected(theirs, self.expected[pair]):
            return "worse than tailscaled"
        return "not as expected"

    def table(self):
        lines = [f"{'pair':26}{'expected':>9}" + "".join(
            f"{side:>14}{'after s':>9}" for side in self.results)]
        for pair, path in self.expected.items():
            cells = "".join(
                f"{words(kind_of(found[pair][0])):>14}{found[pair][1]:>9.2f}"
                for found in self.results.values())
            lines.append(f"{' - '.join(pair):26}{words(path):>9}{cells}  "
                         f"{self.verdict(pair)}".rstrip())
        return "\n".join(lines + self.summary())

    def summary(self):
        """How long the pairs took that are to be direct."""
        took = [[found[pair][1] for pair, path in self.expected.items()
                 if path != "-"] for found in self.results.values()]
        return [f"{'direct pairs, ' + name:35}" + "".join(
            f"{'':14}{of(seconds):>9.2f}" for seconds in took)
            for name, of in (("median", statistics.median), ("longest", max))
            if all(took)]

    def failures(self):
        bad = [" - ".join(p) for p in self.expected if self.verdict(p)] \
            if self.results else []
        return bad + [f"{event}: {said['failure']}" for event, said in
                      self.transfers.get("ours", {}).items()
                      if said["failure"]]

    def dump(self, path):
        with open(path, "w", encoding="utf-8") as f:
            json.dump({
                "pairs": {" - ".join(pair): {
                    "expected": words(self.expected[pair]), **{
                        side: {"path": found[pair][0],
                               "seconds": round(found[pair][1], 3)}
                        for side, found in self.results.items()}}
                    for pair in self.expected},
                "transfers": self.transfers}, f, indent=1)


def words(path):
    return {"d": "direct", "e": "direct", "6": "direct IPv6", "-": "relay",
            "!": "no answer"}[path]


def say(text):
    print(f"  {time.strftime('%H:%M:%S')}  {text}", file=sys.stderr,
          flush=True)


def parse_options():
    parser = argparse.ArgumentParser(
        prog="scripts/nat-lab", description="Paths between kinds of NAT.")
    parser.add_argument("--kinds", type=lambda s: s.split(","), metavar="A,B",
                        help="only pairs of these")
    parser.add_argument("--sides", type=lambda s: s.split(","), default=SIDES,
                        metavar="A,B", help="of ours, tailscaled")
    parser.add_argument("--only", choices=("pairs", "transfers"))
    parser.add_argument("--events", metavar="TEXT",
                        help="only transfers whose event contains this")
    parser.add_argument("--mb", type=int, default=100,
                        help="of each transfer (100)")
    parser.add_argument("--rate", type=float, default=10,
                        help="of each transfer, in MB/s (10)")
    parser.add_argument("--logs", metavar="DIR",
                        help="keep the nodes' logs there")
    parser.add_argument("--json", default=os.path.join(
        os.environ["BUILD"], "nat.json"), metavar="FILE")
    return parser.parse_args()


def main():
    options = parse_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="nat-") as directory, \
            contextlib.ExitStack() as stack:
        lab = Lab(options, directory, stack)
        for side in options.sides:
            lab.run(side)
    if lab.results:
        print(lab.table())
    if lab.transfers:
        print(transfers.table(lab.transfers))
    lab.dump(options.json)
    failures = lab.failures()
    for failure in failures:
        print(f"FAILED: {failure}")
    print(f"nat: {len(failures)} failed; {options.json}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
