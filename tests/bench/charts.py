"""Bar charts as SVG: a group of bars for each figure, a bar for each side, and
a line from the least to the most that was seen."""
from html import escape

WIDTH, LEFT, TOP, BAR, GAP, GROUP_GAP = 760, 190, 46, 13, 2, 16
# By the first word of a side's name; dark enough on white and on black.
COLOURS = {"plain": "#9a9a9a", "ours": "#d1495b", "tsnet": "#3d7ea6",
           "user": "#66a182", "tun": "#8d6cab", "wg": "#c28f2c"}


def text(x, y, words, anchor="start", more=""):
    return (f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}"{more}>'
            f"{escape(words)}</text>")


def legend(sides, name_of):
    parts, x = [], LEFT
    for side in sides:
        name = name_of(side)
        parts.append(f'<rect x="{x}" y="26" width="10" height="10" '
                     f'fill="{colour(side)}"{shade(side)}/>')
        parts.append(text(x + 14, 35, name))
        x += 24 + 7 * len(name)
    return parts


def colour(side):
    return COLOURS[side.partition("-")[0]]


def shade(side):
    """Two congestion controls of one side differ in strength."""
    return ' fill-opacity="0.5"' if side.endswith("-cubic") else ""


def bar(y, side, spread, scale, words):
    least, middle, most = (LEFT + v * scale for v in spread)
    middle_y = y + BAR / 2
    return [
        f'<rect x="{LEFT}" y="{y}" width="{middle - LEFT:.1f}" '
        f'height="{BAR}" fill="{colour(side)}"{shade(side)}/>',
        f'<path d="M{least:.1f} {middle_y}H{most:.1f}" stroke="#777" '
        'stroke-width="1.5"/>',
        text(max(middle, most) + 5, y + BAR - 3, words)]


def chart(title, unit, groups, name_of, short):
    """groups: [(figure, [(side, (min, median, max))])]; "" without bars."""
    groups = [(figure, bars) for figure, bars in groups if bars]
    if not groups:
        return ""
    top = max(s[2] for _, bars in groups for _, s in bars) or 1
    scale = (WIDTH - LEFT - 70) / top
    sides = list(dict.fromkeys(side for _, bars in groups for side, _ in bars))
    parts, y = [text(LEFT, 15, f"{title} ({unit})", more=' font-weight="bold"'),
                *legend(sides, name_of)], TOP
    for figure, bars in groups:
        parts.append(text(LEFT - 8, y + len(bars) * (BAR + GAP) / 2 + 4,
                          figure, "end"))
        for side, spread in bars:
            parts += bar(y, side, spread, scale, short(spread[1]))
            y += BAR + GAP
        y += GROUP_GAP
    width = max(WIDTH, LEFT + sum(24 + 7 * len(name_of(s)) for s in sides))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
            f'height="{y}" viewBox="0 0 {width} {y}" font-size="11" '
            'font-family="sans-serif" fill="#222">\n'
            f'<rect width="{width}" height="{y}" fill="#fff"/>\n' +
            "\n".join(parts) + "\n</svg>\n")
