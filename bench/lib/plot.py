# SPDX-License-Identifier: Apache-2.0
"""SVG charts, written by hand: bars against a goal, bars of two kinds, lines over time."""

from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT, TOP = 900, 430, 90, 44
BAR, GAP = 16, 8
COLOURS = {"aim": "#2a7f4f", "met": "#7fb069", "below aim": "#d9a441", "MISSED": "#c0504d", "": "#7a8b99"}
LINES = ("#2a6f97", "#c0504d", "#2a7f4f", "#d9a441")


class Canvas:
    def __init__(self, height, title):
        self.height, self.parts = height, []
        self.text(WIDTH / 2, 22, title, size=15, anchor="middle")

    def text(self, x, y, text, size=12, anchor="start", colour="#222"):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" '
                          f'text-anchor="{anchor}">{escape(text)}</text>')

    def box(self, x, y, width, height, colour):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" '
                          f'height="{height}" fill="{colour}"/>')

    def line(self, points, colour, width=1.0, dash=""):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" '
                          f'stroke-width="{width}" stroke-dasharray="{dash}"/>')

    def write(self, path):
        with open(path, "w", encoding="utf-8") as f:
            f.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" '
                    f'height="{self.height:.0f}" font-family="sans-serif">\n'
                    '<rect width="100%" height="100%" fill="white"/>\n'
                    + "\n".join(self.parts) + "\n</svg>\n")


def bars(path, title, items, mark=None, mark_text=""):
    """items: (label, value, text at the bar's end, colour). @mark: a vertical line at that value."""
    height = TOP + len(items) * (BAR + GAP) + 30
    canvas = Canvas(height, title)
    room = WIDTH - LEFT - RIGHT
    most = max([value for _, value, _, _ in items] + [mark or 0]) or 1
    for i, (label, value, text, colour) in enumerate(items):
        y = TOP + i * (BAR + GAP)
        canvas.text(LEFT - 8, y + BAR - 4, label, size=11, anchor="end")
        canvas.box(LEFT, y, room * value / most, BAR, colour)
        canvas.text(LEFT + room * value / most + 5, y + BAR - 4, text, size=11)
    if mark:
        x = LEFT + room * mark / most
        canvas.line(((x, TOP - 6), (x, height - 24)), "#222", dash="4 3")
        canvas.text(x, height - 8, mark_text, size=11, anchor="middle")
    canvas.write(path)


def timeline(path, title, series, unit, goals=()):
    """series: (name, values one per 100 ms); goals: (value, text)."""
    left, right, bottom, height = 60, 20, 60, 380
    canvas = Canvas(height, title)
    most = max([max(values) for _, values in series] + [value for value, _ in goals]) * 1.05
    seconds = max(len(values) for _, values in series) / 10

    def at(second, value):
        return (left + (WIDTH - left - right) * second / seconds,
                height - bottom - (height - bottom - TOP) * value / most)
    canvas.line((at(0, most), at(0, 0), at(seconds, 0)), "#222")
    for second in range(int(seconds) + 1):
        canvas.text(at(second, 0)[0], height - bottom + 16, f"{second} s", size=11, anchor="middle")
    for value, text in goals:
        canvas.line((at(0, value), at(seconds, value)), "#888", dash="4 3")
        canvas.text(left + 6, at(0, value)[1] - 4, text, size=11)
    for i, (name, values) in enumerate(series):
        colour = LINES[i % len(LINES)]
        canvas.line([at((k + 0.5) / 10, value) for k, value in enumerate(values)], colour, 1.6)
        canvas.text(left + i * 210, height - 14, f"— {name}", size=11, colour=colour)
    canvas.text(8, TOP - 8, unit, size=11)
    canvas.write(path)
