"""make bench: figures of programs under tsrun, beside the plain kernel's and
those of the peers that were built, in one run and in turns. See
scripts/bench."""
import argparse
import contextlib
import itertools
import os
import platform
import shutil
import signal
import statistics
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "e2e")]

# pylint: disable=wrong-import-position
import traffic
from ends import FAILURES, OurEnd, Pair, TOOLS, TsnetEnd, maker
from figures import Figures
from harness import BUILD, Lab
from lifecycle import FirstByte, Memory, exec_cost
import report
from traffic import Traffic
from tunnels import GO_ENV, PEERS
from unused import Unused
from world import EmbeddedTailnet, HUB, Lane, Tailnet, ip

# The groups of --only, each in its world.
DIRECT = ("bulk", "no-gso", "pingpong", "http", "connections", "udp", "rss")
GROUPS = (*DIRECT, "first-byte", "jumbo", "derp", "impaired", "peers-10k",
          "exec", "unused")
CONTROLS = ("bbr", "cubic")
RTTS_MS, LOSSES = (0, 20, 66, 150), (0, 0.1, 1, 3)
# Those with targets are measured in every round, the rest in the last one.
TARGET_CELLS = ((0, 1), (0, 3), (40, 0), (40, 0.1), (40, 1))
TUNS = ("tun", "wg")


class World:
    """Lanes of one kind and a pair in each."""

    def __init__(self, bench, name, sides, link, mtu=1500):
        self.lanes, self.pairs = {}, {}
        self.bench, self.link = bench, link
        for side in sides:
            bench.say(f"{name}: {side}")
            try:
                self.add(name, side, link, mtu)
            except FAILURES as e:
                if side.startswith("ours"):
                    raise
                bench.figures.note(f"{name}: {side} left out: {e}")

    def add(self, name, side, link, mtu):
        bench = self.bench
        lane = Lane(next(bench.lane_numbers), link, mtu)
        bench.world_stack.callback(lane.close)
        pair = Pair(side, maker(side, lane, bench.tailnet),
                    bench.subdirectory(f"{name}-{side}"))
        bench.world_stack.callback(pair.close)
        pair.warm_up(bool(link))
        self.lanes[side], self.pairs[side] = lane, pair

    def check_paths(self):
        """A path that changed in the midst of it spoils the figures."""
        for side, pair in self.pairs.items():
            try:
                path = pair.path()
            except FAILURES as e:
                path = str(e)
            if bool(self.link) != bool(path):
                self.bench.figures.note(
                    f"{side}: the path is now {path or 'the relay'}")


class Bench:
    def __init__(self, options, directory):
        self.directory, self.figures = directory, Figures()
        self.traffic = Traffic(self.figures)
        self.memory = Memory(self.traffic)
        self.rounds, self.groups = options.rounds, options.only or GROUPS
        self.cells = options.cells or [(*c, 1) for c in TARGET_CELLS]
        self.has_grid = options.rounds > 1 and not options.cells
        self.sides = options.sides or available_sides(self.figures)
        self.began, self.lane_numbers = time.monotonic(), itertools.count()
        self.tailnet = self.world_stack = None

    def say(self, text):
        print(f"  {time.monotonic() - self.began:5.0f} s  {text}",
              file=sys.stderr, flush=True)

    def subdirectory(self, name):
        path = os.path.join(self.directory, name)
        os.makedirs(path)
        return path

    def wants(self, *groups):
        return any(g in self.groups for g in groups)

    def others(self):
        """Cores that what was not measured took away."""
        found = [r["other_cores"] for r in self.figures.raw
                 if "other_cores" in r]
        return max(statistics.median(found), 0.0) if found else 0.0

    def run(self):
        with contextlib.ExitStack() as stack:
            # Here too something must be there that is not loopback.
            ip("addr", "add", HUB + "/32", "dev", "lo")
            if self.wants(*DIRECT, "first-byte", "jumbo", "derp", "impaired"):
                where = self.subdirectory("tailnet")
                self.tailnet = Tailnet(where, PEERS, GO_ENV) \
                    if built("derper", "testcontrol") else \
                    EmbeddedTailnet(where)
                stack.callback(self.tailnet.close)
            for wanted, measure in ((DIRECT, self.direct),
                                    (("first-byte",), self.first_bytes),
                                    (("jumbo",), self.jumbo),
                                    (("derp",), self.derp),
                                    (("impaired",), self.impaired),
                                    (("peers-10k",), self.ten_thousand),
                                    (("exec", "unused"), self.programs)):
                if self.wants(*wanted):
                    with contextlib.ExitStack() as self.world_stack:
                        measure()

    def each_round(self, name):
        for number in range(self.rounds):
            self.figures.round = number
            self.say(f"{name}: round {number + 1} of {self.rounds}")
            yield number

    # -- worlds --------------------------------------------------------------

    def direct(self):
        world = World(self, "direct", self.sides, "direct")
        do, pairs = self.traffic, world.pairs
        if self.wants("rss"):
            time.sleep(0.5)
            self.memory.idle(pairs, "RSS 2 peers")
        for number in self.each_round("direct"):
            if self.wants("bulk"):
                do.bulk(pairs, 1)
                do.bulk(pairs, 8)
            if self.wants("no-gso"):
                self.without_offloads(world)
            if self.wants("pingpong"):
                do.pingpong(pairs, 1, "1 B")
                do.pingpong(pairs, 1024, "1 KB")
                do.pingpong_beside_bulk(pairs)
                do.pingpong_beside_bulk(pairs, 1000)
            if self.wants("http"):
                do.web(pairs)
            if self.wants("connections"):
                do.connections(pairs, "client")
                do.connections(pairs, "server")
            if self.wants("rss"):
                self.memory.in_bulk(pairs, "RSS 2 peers")
            if self.wants("udp"):
                do.datagrams(pairs, 20_000)
                do.datagrams(pairs)
            world.check_paths()

    def without_offloads(self, world):
        for lane in world.lanes.values():
            lane.set_offloads(False)
        self.traffic.bulk(world.pairs, 1, ", no GSO")
        for lane in world.lanes.values():
            lane.set_offloads(True)

    def first_bytes(self):
        """Each side alone: every node of a tailnet is told of a new one, and
        a dozen of them at work on that would be in the figure."""
        first = FirstByte(self.subdirectory("first"), self.tailnet,
                          self.figures)
        for number in self.each_round("first byte"):
            for side in self.sides:
                with contextlib.ExitStack() as self.world_stack:
                    world = World(self, f"first-{number}", [side], "direct")
                    first.measure(side, world.pairs[side], world.lanes[side],
                                  number)

    def jumbo(self):
        world = World(self, "jumbo", self.sides, "direct", 9000)
        for _ in self.each_round("jumbo"):
            self.traffic.bulk(world.pairs, 1, ", 9,000")
            world.check_paths()

    def derp(self):
        sides = [s for s in self.sides if s not in ("plain", "wg")]
        world = World(self, "derp", sides, None)
        for _ in self.each_round("derp"):
            for flows in (1, 8):
                self.traffic.bulk(world.pairs, flows, ", DERP",
                                  self.tailnet.relay_pid)
            self.traffic.pingpong(world.pairs, 1, "1 B, DERP")
            self.traffic.pingpong(world.pairs, 1024, "1 KB, DERP")
            world.check_paths()

    def impaired(self):
        world = World(self, "impaired", impaired_sides(self.sides), "impaired")
        pairs = {}
        for side, pair in world.pairs.items():
            kind, _, control = side.partition("-")
            # The kernel's is named by the program, ours by the node.
            if control and kind != "ours":
                pairs[side] = (pair, control)
            elif side in ("plain", *TUNS):
                for control in CONTROLS:
                    pairs[f"{side}-{control}"] = (pair, control)
                    world.lanes[f"{side}-{control}"] = world.lanes[side]
            else:
                pairs[side] = (pair, "")
        for number in self.each_round("impaired"):
            for rtt, loss, flows in self.cells:
                self.cell(pairs, world.lanes, flows, rtt, loss)
            if number == self.rounds - 1 and self.has_grid:
                self.whole_grid(pairs, world.lanes)

    def whole_grid(self, pairs, lanes):
        """Beside tsnet's stack and the kernel's, with a TUN device and bare:
        that is all the stacks there are."""
        pairs = {side: pairs[side] for side in pairs
                 if side.partition("-")[0] not in ("user", "wg")}
        for rtt, loss, flows in itertools.product(RTTS_MS, LOSSES, (1, 8)):
            if flows == 8 or (rtt, loss) not in TARGET_CELLS:
                self.cell(pairs, lanes, flows, rtt, loss)
        self.cell(pairs, lanes, 1, 40, 0, reorder=1)

    def cell(self, pairs, lanes, flows, rtt, loss, reorder=0):
        self.say(f"impaired: {rtt} ms, {loss} %, {flows} flows")
        self.traffic.impaired(pairs, lanes, flows, {
            "delay_ms": rtt / 2, "loss": loss, "reorder": reorder})

    # -- on the embedded tailnet ---------------------------------------------

    def lab(self, *args):
        lab = Lab(self.subdirectory("lab" + "".join(args)), *args)
        lab.key = EmbeddedTailnet.key
        self.world_stack.callback(lab.close)
        return lab

    def ten_thousand(self):
        self.figures.round, name = 0, "10,000 peers"
        lab = self.lab("--peers", "9999")
        for side in ("ours", "tsnet"):
            if side not in self.sides:
                continue
            self.say(f"{name}: {side}")
            directory = self.subdirectory("peers-" + side)
            end = OurEnd(directory, None, lab, "many", {}) \
                if side == "ours" else TsnetEnd(directory, None, lab, "go-many")
            try:
                time.sleep(0.5)
                self.figures.add(f"up with {name}", "s", side, end.up_seconds)
                self.memory.add(f"RSS {name}, idle", side, [end], "rss")
            finally:
                end.close()

    def programs(self):
        lab, where = self.lab(), self.subdirectory("programs")
        end = OurEnd(where, None, lab, "programs", {})
        self.world_stack.callback(end.close)
        bystanders = None
        for _ in self.each_round("programs"):
            if self.wants("exec"):
                exec_cost(self.figures, end)
            if self.wants("unused"):
                if not bystanders:
                    bystanders = Unused(self.subdirectory("unused"),
                                        end.program, self.figures)
                    bystanders.make()
                bystanders.find()
                bystanders.nginx()


def built(*names):
    return all(os.access(os.path.join(PEERS, n), os.X_OK) for n in names)


def available_sides(figures):
    """Ours, the kernel's, and those whose program and device are there."""
    has_tun = os.environ.get("BENCH_TUN") == "yes"
    found = {
        "plain": True, "ours": True, "tsnet": built("tsnetbench"),
        "user": built("tailscaled", "tailscale"),
        "tun": built("tailscaled", "tailscale") and has_tun,
        "wg": built("wireguard-go") and has_tun,
    }
    for side, there in found.items():
        if not there:
            figures.note(f"{side} is left out: " + (
                "/dev/net/tun cannot be used here" if side in TUNS and
                not has_tun else f"it is not in {PEERS}"))
    return [side for side, there in found.items() if there]


def impaired_sides(sides):
    """Our congestion controls are the node's: a pair for each."""
    if any(side.startswith("ours-") for side in sides):
        return sides
    with open(os.path.join(BUILD, "tsnet-host"), "rb") as f:
        ours = [f"ours-{c}" for c in CONTROLS] \
            if b"TSNET_CONGESTION" in f.read() else ["ours"]
    return [s for side in sides for s in (ours if side == "ours" else [side])]


def read_line(path):
    with open(path, encoding="utf-8") as f:
        return f.readline().strip()


def header(options):
    return {
        "kernel": platform.release(), "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "congestion_control":
            read_line("/proc/sys/net/ipv4/tcp_congestion_control"),
        "load_at_start": os.getloadavg()[0],
        "rounds": options.rounds, "build": BUILD,
        "when": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def read_cells(text):
    """RTT x LOSS [x FLOWS] [,...]"""
    cells = []
    for cell in text.split(","):
        rtt, loss, *flows = map(float, cell.split("x"))
        cells.append((rtt, loss, int(*flows or (1,))))
    return cells


def parse_options():
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="Figures beside the peers'.")
    parser.add_argument("--quick", action="store_true",
                        help="one round of short runs, a few minutes")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--json", default=os.path.join(TOOLS, "results.json"),
                        metavar="FILE")
    parser.add_argument("--docs", metavar="FILE", help="write table and charts "
                        "into this Markdown file, charts beside it")
    parser.add_argument("--only", action="append", choices=GROUPS,
                        metavar="NAME", help=f"of {', '.join(GROUPS)}; may be "
                        "repeated")
    parser.add_argument("--sides", type=lambda s: s.split(","), metavar="A,B",
                        help="of plain, ours, tsnet, user, tun, wg; impaired: "
                        "also one control alone, as ours-bbr, tun-bbr")
    parser.add_argument("--cells", type=read_cells, metavar="0x1,40x0.1x8",
                        help="impaired: ms and %% of loss (and flows) instead "
                        "of those with targets")
    options = parser.parse_args()
    if options.docs and not os.access(options.docs, os.W_OK):
        parser.error(f"{options.docs} is not there, or not ours to write")
    if options.quick:
        options.rounds = 1
        traffic.BULK_S, traffic.IMPAIRED_S, traffic.PINGS = 0.7, 2, 1
    return options


def conclude(bench, options, said):
    said["seconds"] = round(time.monotonic() - bench.began, 1)
    said["other_cores"] = bench.others()
    bench.figures.dump(options.json, said)
    print(bench.figures.table())
    print("bench: targets: {} pass, {} MISS, {} figures not measured".format(
        *bench.figures.missed()))
    print(f"bench: meanwhile others (relay and this script included) used "
          f"{said['other_cores']:.2f} of {said['cores']} cores (median)")
    for note in bench.figures.notes:
        print(f"note: {note}")
    print(f"bench: {said['seconds']} s; samples in {options.json}")


def main():
    options = parse_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        bench, said = Bench(options, directory), header(options)
        said["sides"] = bench.sides
        print("bench: kernel {kernel}, {cores} cores for everything, "
              "congestion control {congestion_control} where none is named, "
              "load {load_at_start:.2f}, {rounds} rounds, {when}".format(
                  **said), flush=True)
        try:
            bench.run()
        finally:
            kept = os.environ.get("BENCH_KEEP")
            if kept:
                shutil.copytree(directory, kept, dirs_exist_ok=True,
                                ignore=lambda d, names: [
                                    n for n in names if n.endswith(".sock")])
            conclude(bench, options, said)
        if options.docs:
            report.write(options.docs, bench.figures, said)


if __name__ == "__main__":
    main()
