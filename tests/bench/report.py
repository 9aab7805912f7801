"""docs/performance.md: what a run measured, put between two marks, and charts.

What is around the marks is written by hand and stays.
"""
import os

import charts
from figures import name_of, short

BEGIN, END = "<!-- figures: by make bench -->", "<!-- end of figures -->"
# file -> (title, unit, figures and how they are called in the chart)
CHARTS = {
    "bulk": ("Bulk TCP, direct", "Mbit/s", {
        "bulk 1 flow up": "1 flow up", "bulk 1 flow down": "1 flow down",
        "bulk 8 flows up": "8 flows up", "bulk 8 flows down": "8 flows down",
        "bulk 1 flow up, no GSO": "1 flow up, no GSO",
        "bulk 1 flow up, 9,000": "1 flow up, MTU 9,000"}),
    "cpu": ("CPU of both ends", "seconds per GB", {
        "bulk 1 flow up CPU": "1 flow up",
        "bulk 8 flows up CPU": "8 flows up",
        "bulk 1 flow up, no GSO CPU": "1 flow up, no GSO",
        "bulk 1 flow up, DERP CPU": "1 flow up, DERP"}),
    "latency": ("Round trips", "us", {
        "ping-pong 1 B p50": "1 B, p50", "ping-pong 1 B p99": "1 B, p99",
        "ping-pong 1 KB p50": "1 KB, p50",
        "ping-pong 1 KB p99": "1 KB, p99"}),
    "connections": ("Connections", "per second", {
        "connections, client closes": "client closes first",
        "connections, server closes": "server closes first"}),
    "http": ("HTTP", "requests per second", {"HTTP requests": "32 kept"}),
    "udp": ("UDP received, 1,200 B", "per second", {
        "UDP 20000/s received": "20,000/s offered",
        "UDP unpaced received": "unpaced"}),
    "derp": ("Through derper", "Mbit/s", {
        "bulk 1 flow up, DERP": "1 flow up",
        "bulk 1 flow down, DERP": "1 flow down",
        "bulk 8 flows up, DERP": "8 flows up",
        "bulk 8 flows down, DERP": "8 flows down"}),
    "memory": ("Memory of the tunnel's process", "MB", {
        "RSS 2 peers, idle": "idle", "RSS 2 peers, peak in bulk": "8 flows",
        "RSS 10,000 peers, idle": "10,000 peers"}),
    "impaired": ("One flow on bad paths: round trip, loss each way", "Mbit/s",
                 {f"{cell} 1 flow": cell for cell in (
                     "0 ms 1 %", "0 ms 3 %", "20 ms 0.1 %", "20 ms 1 %",
                     "40 ms 0 %", "40 ms 0.1 %", "40 ms 1 %", "66 ms 1 %",
                     "150 ms 0 %", "150 ms 0.1 %", "150 ms 1 %")}),
}
# The kernel without a tunnel is so much faster that nothing else would show.
WITHOUT_PLAIN = ("bulk", "http", "udp", "connections", "impaired")


def groups_of(figures, name, wanted):
    for figure, called in wanted.items():
        if figure not in figures.samples:
            continue
        yield called, [
            (side, figures.spread(figure, side))
            for side in figures.sides([figure])
            if not (side.startswith("plain") and name in WITHOUT_PLAIN)]


def draw(figures, directory):
    """The charts that there are figures for; their names and titles."""
    os.makedirs(directory, exist_ok=True)
    drawn = []
    for name, (title, unit, wanted) in CHARTS.items():
        svg = charts.chart(title, unit, groups_of(figures, name, wanted),
                           name_of, short)
        if svg:
            with open(os.path.join(directory, name + ".svg"), "w",
                      encoding="utf-8") as f:
                f.write(svg)
            drawn.append((name, title))
    return drawn


def target_rows(figures):
    yield "| figure | unit | tsnet-shim | beside | ratio min / median / max " \
        "| target | |"
    yield "|---|---|---|---|---|---|---|"
    for figure in figures.samples:
        for side, words, reference, seen, met in figures.verdicts(figure):
            if not words or not seen:
                continue
            beside = (f"{name_of(reference)} "
                      f"{short(figures.spread(figure, reference)[1])}"
                      if reference else "")
            yield (f"| {figure} | {figures.units[figure]} | "
                   f"{short(figures.spread(figure, side)[1])} | {beside} | "
                   f"{' / '.join(map(short, seen))} | {words} | "
                   f"{'pass' if met else '**MISS**'} |")


def everything(figures):
    """min/median/max of each side, figures in the order they were taken."""
    blocks = {}
    for figure in figures.samples:
        has_controls = any("-" in s for s in figures.samples[figure])
        blocks.setdefault(has_controls, []).append(figure)
    for names in blocks.values():
        sides = figures.sides(names)
        yield "| figure | unit | " + " | ".join(map(name_of, sides)) + " |"
        yield "|---|---|" + "---|" * len(sides)
        for figure in names:
            cells = ["/".join(map(short, figures.spread(figure, s)))
                     if figures.spread(figure, s) else "" for s in sides]
            yield f"| {figure} | {figures.units[figure]} | " + \
                " | ".join(cells) + " |"
        yield ""


def compose(figures, said, drawn, folder):
    yield BEGIN
    yield ""
    yield (f"{said['when']}, Linux {said['kernel']}, {said['machine']}, "
           f"{said['cores']} cores for both ends and everything else, "
           f"{said['rounds']} rounds, {said['seconds']:,.0f} s. The kernel's "
           f"congestion control is {said['congestion_control']} where none is "
           f"named. Meanwhile others used {said['other_cores']:.2f} cores.")
    yield ""
    yield from target_rows(figures)
    yield ""
    for name, title in drawn:
        yield f"![{title}]({folder}/{name}.svg)"
        yield ""
    yield "## All figures: min/median/max"
    yield ""
    yield from everything(figures)
    for note in figures.notes:
        yield f"- {note.strip()}"
    yield ""
    yield END


def write(path, figures, said):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    folder = os.path.splitext(os.path.basename(path))[0]
    drawn = draw(figures, os.path.join(os.path.dirname(path), folder))
    with open(path, "w", encoding="utf-8") as f:
        f.write(before + "\n".join(compose(figures, said, drawn, folder)) +
                after)
