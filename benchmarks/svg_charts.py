"""Line and bar charts as SVG text, to stand in a page that gives the colours (--series-0 …, --ink, --rule)."""

import collections
import html
import math

WIDTH, HEIGHT = 560, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 34, 44
LEGEND_LINE = 18
LABEL_WIDTH = 210  # of bars
BAR, BAR_GAP = 16, 8

# points: [(x, y)]; color: its number, so that a thing has one colour in all charts. dashed: computed, not measured; such stand in no legend.
Series = collections.namedtuple("Series", "name color points dashed")
# parts: lengths that follow each other; mark: a length to compare with, or None.
Bar = collections.namedtuple("Bar", "label parts mark")


def number(value):
    """As short as a reader wants it: 1.2k, 35, 0.04."""
    if value >= 1e6:
        return f"{value / 1e6:.3g}M"
    if value >= 1e4:
        return f"{value / 1e3:.3g}k"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _text(x, y, text, anchor="middle", css=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{css}">{html.escape(text)}</text>'


def _nice_step(span):
    """1, 2 or 5 times a power of ten, about a fifth of the span."""
    power = 10 ** math.floor(math.log10(span / 4))
    return next(step * power for step in (1, 2, 5, 10) if span / (step * power) <= 5)


class _Linear:
    def __init__(self, highest):
        step = _nice_step(highest or 1)
        self.ticks = [step * i for i in range(math.ceil((highest or 1) / step) + 1)]

    def place(self, value):
        return value / self.ticks[-1]


class _Logarithmic:
    def __init__(self, lowest, highest):
        first, last = math.floor(math.log10(lowest)), math.ceil(math.log10(highest))
        self._first, self._span = first, max(1, last - first)
        self.ticks = [10.0 ** (first + i) for i in range(self._span + 1)]

    def place(self, value):
        return (math.log10(value) - self._first) / self._span


def line_chart(title, x_label, y_label, x_ticks, series, log_y=False):
    """x_ticks: [(x, label)], the x of points in any unit; they are spread from the first tick to the last."""
    values = [y for one in series for _, y in one.points]
    scale = _Logarithmic(min(values), max(values)) if log_y else _Linear(max(values))
    first, last = x_ticks[0][0], x_ticks[-1][0]
    legend = [one for one in series if not one.dashed]

    def place_x(x):
        return LEFT + (x - first) / ((last - first) or 1) * (WIDTH - LEFT - RIGHT)

    def place_y(y):
        return HEIGHT - BOTTOM - scale.place(y) * (HEIGHT - TOP - BOTTOM)

    parts = [_text(0, 18, f"{title}, {y_label}", "start", "title")]
    for tick in scale.ticks:
        parts.append(f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{place_y(tick):.1f}" y2="{place_y(tick):.1f}"/>')
        parts.append(_text(LEFT - 8, place_y(tick) + 4, number(tick), "end", "tick"))
    for x, label in x_ticks:
        parts.append(_text(place_x(x), HEIGHT - BOTTOM + 16, label, css="tick"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x_label, css="axis"))
    labels = dict(x_ticks)
    for one in series:
        style = f'style="stroke:var(--series-{one.color})"' + (' stroke-dasharray="5 4"' if one.dashed else "")
        path = " ".join(f"{place_x(x):.1f},{place_y(y):.1f}" for x, y in one.points)
        parts.append(f'<polyline class="line" points="{path}" {style}/>')
        for x, y in one.points:
            tip = html.escape(f"{one.name}, {labels.get(x, x)}: {number(y)}")
            parts.append(f'<circle cx="{place_x(x):.1f}" cy="{place_y(y):.1f}" r="{2 if one.dashed else 3.5}" '
                         f'style="fill:var(--series-{one.color})"><title>{tip}</title></circle>')
    for index, one in enumerate(legend):
        y = HEIGHT + LEGEND_LINE * index + 6
        parts.append(f'<line class="line" x1="{LEFT}" x2="{LEFT + 24}" y1="{y}" y2="{y}" style="stroke:var(--series-{one.color})"/>')
        parts.append(_text(LEFT + 32, y + 4, one.name, "start", "tick"))
    return _svg(HEIGHT + LEGEND_LINE * len(legend), parts, title)


def bar_chart(title, unit, part_names, mark_name, bars):
    """Horizontal bars, one below the other, of parts that have names and colours 0, 1, …; a mark at a length to compare with."""
    longest = max(max(sum(bar.parts), bar.mark or 0) for bar in bars)
    scale = _Linear(longest)
    space = WIDTH - LABEL_WIDTH - 64
    bottom = TOP + len(bars) * (BAR + BAR_GAP) + BAR_GAP
    parts = [_text(0, 18, title, "start", "title")]
    for tick in scale.ticks:
        x = LABEL_WIDTH + scale.place(tick) * space
        parts.append(f'<line class="rule" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}"/>{_text(x, bottom + 14, number(tick), css="tick")}')
    parts.append(_text(LABEL_WIDTH + space / 2, bottom + 32, unit, css="axis"))
    for index, bar in enumerate(bars):
        y = TOP + BAR_GAP + index * (BAR + BAR_GAP)
        x = float(LABEL_WIDTH)
        parts.append(_text(LABEL_WIDTH - 8, y + 12, bar.label, "end", "tick"))
        for color, (name, value) in enumerate(zip(part_names, bar.parts)):
            width = scale.place(value) * space
            tip = html.escape(f"{bar.label}, {name}: {number(value)} {unit}")
            parts.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" style="fill:var(--series-{color})"><title>{tip}</title></rect>')
            x += width
        parts.append(_text(x + 6, y + 12, number(sum(bar.parts)), "start", "tick"))
        if bar.mark:
            at = LABEL_WIDTH + scale.place(bar.mark) * space
            parts.append(f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{y - 3}" y2="{y + BAR + 3}">'
                         f"<title>{html.escape(mark_name)}: {number(bar.mark)} {unit}</title></line>")
    x = LABEL_WIDTH
    for color, name in enumerate(part_names):
        parts.append(f'<rect x="{x}" y="{bottom + 42}" width="12" height="12" style="fill:var(--series-{color})"/>')
        parts.append(_text(x + 18, bottom + 52, name, "start", "tick"))
        x += 90
    if any(bar.mark for bar in bars):
        parts.append(f'<line class="mark" x1="{x + 6}" x2="{x + 6}" y1="{bottom + 40}" y2="{bottom + 56}"/>')
        parts.append(_text(x + 18, bottom + 52, mark_name, "start", "tick"))
    return _svg(bottom + 64, parts, title)


def _svg(height, parts, title):
    return (f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{html.escape(title)}">' + "\n".join(parts) + "</svg>")
