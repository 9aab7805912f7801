"""Samples of every figure, and the table of them.

A figure's ratio to another side is taken round by round, as the rounds are
what happened at the same time; its median is held against the target.
"""
import json
import statistics

NAMES = {
    "plain": "plain veth", "ours": "tsnet-shim", "tsnet": "tsnet",
    "user": "tailscaled SOCKS5", "tun": "tailscaled TUN", "wg": "wireguard-go",
}
# figure -> targets. "2x tsnet": at least twice tsnet's; "0.6x< tun": at most
# 0.6 of tailscaled's with a TUN device; "<40": ours alone, at most 40; "<40
# each": not once more.
TARGETS = {
    "bulk 1 flow up": ("2x tsnet", "1.6x tun"),
    "bulk 1 flow down": ("2x tsnet", "1.6x tun"),
    "bulk 8 flows up": ("2.2x tsnet", "1.5x tun"),
    "bulk 8 flows down": ("2.2x tsnet", "1.5x tun"),
    "bulk 1 flow up, 9,000": ("4x tsnet",),
    "bulk 1 flow down, 9,000": ("4x tsnet",),
    "bulk 1 flow up, no GSO": ("1.6x tsnet", "1.3x tun"),
    "bulk 1 flow down, no GSO": ("1.6x tsnet", "1.3x tun"),
    "bulk 1 flow up, DERP": ("1.3x tsnet",),
    "bulk 1 flow down, DERP": ("1.3x tsnet",),
    "bulk 1 flow up CPU": ("0.45x< tsnet", "0.6x< wg"),
    "bulk 1 flow down CPU": ("0.45x< tsnet", "0.6x< wg"),
    "bulk 8 flows up CPU": ("0.45x< tsnet", "0.6x< wg"),
    "bulk 8 flows down CPU": ("0.45x< tsnet", "0.6x< wg"),
    "ping-pong 1 B p50": ("0.6x< tsnet", "0.6x< tun"),
    "ping-pong 1 KB p50": ("0.6x< tsnet", "0.6x< tun"),
    "ping-pong 1 B, DERP p50": ("1x< tsnet",),
    "ping-pong 1 KB, DERP p50": ("1x< tsnet",),
    "p99 beside bulk by p99 alone": ("<3",),
    "p99 beside 1,000 Mbit/s by p99 alone": ("<3",),
    "connections, client closes": ("2x tsnet",),
    "connections, server closes": ("2x tsnet",),
    "connections, client closes stalls": ("<0 each",),
    "connections, server closes stalls": ("<0 each",),
    "HTTP requests": ("2x tsnet", "1.2x tun"),
    "UDP unpaced received": ("3x tsnet",),
    "first byte, new node": ("<40 each",),
    "first byte, again at once": ("<40 each",),
    "RSS 2 peers, idle": ("<12",),
    "RSS 2 peers, peak in bulk": ("<40",),
    "RSS 10,000 peers, idle": ("<40",),
    "up with 10,000 peers": ("<0.9",),
    "exec true, more": ("<1000",),
    "exec true, more memory": ("<300",),
}
# Where paths are bad, the kernel over TUN with the same congestion control.
for _cell in ("0 ms 1 %", "0 ms 3 %", "40 ms 0 %", "40 ms 0.1 %", "40 ms 1 %"):
    TARGETS[_cell + " 1 flow"] = ("0.9x tun-bbr", "0.9x tun-cubic")


def name_of(side):
    kind, _, control = side.partition("-")
    return NAMES[kind] + (f", {control}" if control else "")


class Target:
    """One of the words above, read."""

    def __init__(self, words):
        self.words, self.is_each = words, words.endswith(" each")
        words = words.removesuffix(" each")
        self.reference = words.partition(" ")[2]
        if self.reference:
            factor, _, sign = words.partition(" ")[0].partition("x")
            self.is_most, self.bound = sign == "<", float(factor)
        else:
            self.is_most, self.bound = True, float(words[1:])
        control = self.reference.partition("-")[2]
        self.side = "ours-" + control if control else "ours"

    def is_met(self, seen):
        """seen: least, median, most."""
        value = seen[2] if self.is_each else seen[1]
        return value <= self.bound if self.is_most else value >= self.bound


class Figures:
    """figure -> side -> round -> samples; and what went wrong, in words."""

    def __init__(self):
        self.samples, self.units, self.notes, self.raw = {}, {}, [], []
        self.round = 0

    def add(self, figure, unit, side, value):
        self.units[figure] = unit
        self.samples.setdefault(figure, {}).setdefault(side, {}).setdefault(
            self.round, []).append(value)

    def note(self, text):
        self.notes.append(text)

    def values(self, figure, side):
        rounds = self.samples[figure].get(side, {})
        return [v for values in rounds.values() for v in values]

    def spread(self, figure, side):
        """(min, median, max) or None."""
        return spread(self.values(figure, side))

    def ratios(self, figure, side, reference):
        """side/reference in each round that has both."""
        ours, theirs = (self.samples[figure].get(s, {})
                        for s in (side, reference))
        return [statistics.median(ours[n]) / statistics.median(theirs[n])
                for n in ours if n in theirs and statistics.median(theirs[n])]

    def verdicts(self, figure):
        """[(side, words, reference or '', spread or None, met or None)];
        without a target, ours beside tsnet's."""
        found = []
        for target in map(Target, TARGETS.get(figure, ())):
            values = self.ratios(figure, target.side, target.reference) \
                if target.reference else self.values(figure, target.side)
            seen = spread(values)
            found.append((target.side, target.words, target.reference, seen,
                          seen and target.is_met(seen)))
        if not found:
            seen = spread(self.ratios(figure, "ours", "tsnet"))
            if seen:
                found.append(("ours", "", "tsnet", seen, None))
        return found

    def sides(self, figures):
        """Those that have any of the figures, in the order of NAMES."""
        there = {s for f in figures for s in self.samples[f]}
        return sorted(there, key=lambda s: (
            [*NAMES].index(s.partition("-")[0]), s))

    def table(self):
        """One block for each set of sides, so that columns stay few."""
        blocks = {}
        for figure in self.samples:
            kinds = {"-" in s for s in self.samples[figure]}
            blocks.setdefault(max(kinds), []).append(figure)
        return "\n\n".join(self.block(figures) for figures in blocks.values())

    def block(self, figures):
        sides = self.sides(figures)
        lines = [f"{'median':36} {'unit':7}" + "".join(
            f"{s:>12}" for s in sides) +
            f"  {'ratio min/median/max':>23}  target"]
        for figure in figures:
            medians = "".join(
                f"{short(self.spread(figure, s)[1]):>12}"
                if self.spread(figure, s) else f"{'-':>12}" for s in sides)
            start = f"{figure:36} {self.units[figure]:7}{medians}"
            seen = [v for v in self.verdicts(figure) if v[3]]
            for verdict in seen or [None]:
                lines.append((start + words_of(verdict)).rstrip())
                start = " " * len(start)
        return "\n".join(lines)

    def missed(self):
        """(met, missed, not measured) among the targets."""
        met = [m for f in self.samples for *_, m in self.verdicts(f)]
        left = [f for f in TARGETS if f not in self.samples]
        return met.count(True), met.count(False), len(left)

    def dump(self, path, header):
        figures = {}
        for figure, sides in self.samples.items():
            figures[figure] = {
                "unit": self.units[figure], "samples": sides,
                "min_median_max": {s: self.spread(figure, s) for s in sides},
                "verdicts": [
                    dict(zip(("side", "target", "to", "min_median_max",
                              "met"), v)) for v in self.verdicts(figure)]}
        with open(path, "w", encoding="utf-8") as f:
            json.dump({"header": header, "figures": figures,
                       "notes": self.notes, "raw": self.raw}, f, indent=1)


def words_of(verdict):
    if not verdict:
        return ""
    _side, words, reference, seen, met = verdict
    ratio = "/".join(short(v) + ("x" if reference else "") for v in seen)
    end = {None: "", True: "pass", False: "MISS"}[met]
    return f"  {ratio:>23}  {words or 'to ' + reference:14} {end}"


def spread(values):
    return (min(values), statistics.median(values), max(values)) \
        if values else None


def short(value):
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
