"""Samples of every figure, and the table of them."""
import json
import statistics

# What a peer's figure is held against: ratio of medians ours/tsnet, and the
# bound of ours alone. '>' more is better, '<' less is better.
TARGETS = {
    "bulk 1 flow": (">", 2.0, None),
    "bulk 8 flows": (">", 2.0, None),
    "bulk 1 flow CPU": ("<", 0.45, None),
    "bulk 8 flows CPU": ("<", 0.45, None),
    "ping-pong 1 B p50": ("<", 0.6, None),
    "ping-pong 1 KB p50": ("<", 0.6, None),
    "connections, client closes": (">", 2.0, None),
    "connections, server closes": (">", 2.0, None),
    "first byte, enrolled": ("<", None, 40),
    "RSS 2 peers, idle": ("<", None, 12),
    "RSS 10,000 peers, idle": ("<", None, 40),
    "RSS 2 peers, peak in bulk": ("<", None, 40),
    "exec true, more": ("<", None, 1000),
    "exec true, more memory": ("<", None, 300),
}
SIDES = ("plain", "ours", "tsnet")


class Figures:
    """figure -> side -> samples; and what went wrong, in words."""

    def __init__(self):
        self.samples, self.units, self.notes, self.raw = {}, {}, [], []

    def add(self, figure, unit, side, value):
        self.units[figure] = unit
        self.samples.setdefault(figure, {}).setdefault(side, []).append(value)

    def note(self, text):
        self.notes.append(text)

    def median(self, figure, side):
        values = self.samples[figure].get(side)
        return statistics.median(values) if values else None

    def verdict(self, figure):
        """(ratio ours/tsnet or None, target in words, met or None)"""
        ours, tsnet = (self.median(figure, s) for s in ("ours", "tsnet"))
        ratio = ours / tsnet if ours is not None and tsnet else None
        if figure not in TARGETS:
            return ratio, "", None
        sign, bound, alone = TARGETS[figure]
        value = ours if bound is None else ratio
        bound = alone if bound is None else bound
        words = f"{sign}= {bound:g}" + ("x" if alone is None else "")
        if value is None:
            return ratio, words, None
        return ratio, words, value >= bound if sign == ">" else value <= bound

    def table(self):
        lines = [f"{'':30} {'unit':8} " + " ".join(
            f"{side + ' min/median/max':>24}" for side in SIDES) +
            "  ours/tsnet  target"]
        for figure, sides in self.samples.items():
            cells = [spread(sides.get(side)) for side in SIDES]
            ratio, words, met = self.verdict(figure)
            lines.append(
                f"{figure:30} {self.units[figure]:8} " +
                " ".join(f"{c:>24}" for c in cells) +
                f"  {'' if ratio is None else f'{ratio:.2f}x':>10}  " +
                f"{words:>8}" + {None: "", True: "  met", False: "  MISSED"}[met])
        return "\n".join(line.rstrip() for line in lines)

    def dump(self, path, header):
        figures = {}
        for figure, sides in self.samples.items():
            ratio, words, met = self.verdict(figure)
            figures[figure] = {"unit": self.units[figure], "samples": sides,
                               "ratio_ours_tsnet": ratio, "target": words,
                               "met": met}
        with open(path, "w", encoding="utf-8") as f:
            json.dump({"header": header, "figures": figures,
                       "notes": self.notes, "raw": self.raw}, f, indent=1)


def spread(values):
    if not values:
        return "-"
    return "/".join(short(v) for v in (min(values), statistics.median(values),
                                       max(values)))


def short(value):
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
