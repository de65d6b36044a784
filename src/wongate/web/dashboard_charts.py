"""Charts as SVG, drawn without a library and without style attributes: classes carry the page's colours, presentation
attributes the same picture's colours in a file of its own. Every shape is a link to the rows behind it.

Widths are shares of the picture's own, so that it fills any tile while its texts keep their size.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

FILE_WIDTH = 560
"""Pixels of a picture outside a page: there is no tile to fill."""
HEIGHT, TOP, BOTTOM = 210, 10, 26
PLOT = HEIGHT - TOP - BOTTOM
SCALE = 15.0
"""Percent of the width that the numbers on the left have: at 288 pixels they fit with seven letters."""
NARROWEST, _LETTER = 288, 7.5
"""Pixels of the narrowest tile and of a letter: what a number on the right takes at most, its label leaves it."""
COLOURS = {"good": "#116b3c", "bad": "#b3221c", "main": "#1f4fd1", "quiet": "#7b8494"}
_TEXT = 'font-size="12" font-family="system-ui, sans-serif" fill="#556070"'
_LABELS_MAX = 7
_STEPS = (1, 2, 3, 4, 5, 6, 8, 10)


@dataclass(frozen=True, slots=True)
class Part:
    """One coloured piece of a bar: `hint` says it in words, `href` leads to its rows."""

    colour: str
    value: int
    hint: str
    href: str


@dataclass(frozen=True, slots=True)
class Bar:
    label: str
    parts: Sequence[Part]

    @property
    def total(self) -> int:
        return sum(part.value for part in self.parts)


Spoken = Callable[[int], str]


def ceiling(value: int) -> int:
    """A round number at or above the value: one digit times a power of ten."""
    if value <= 4:
        return 4
    power = 10 ** (len(str(value)) - 1)
    return next(int(step * power) for step in _STEPS if step * power >= value)


def columns(bars: Sequence[Bar], label: str, spoken: Spoken) -> str:
    """Bars that stand side by side, their parts one on the other; the scale on the left in `spoken` numbers."""
    top = ceiling(max((bar.total for bar in bars), default=0))
    step = (100 - SCALE) / max(len(bars), 1)
    shapes = _scale(top, spoken)
    for place, bar in enumerate(bars):
        y = float(TOP + PLOT)
        for part in bar.parts:
            height = PLOT * part.value / top
            y -= height
            shapes.append(_rect(part, SCALE + (place + 0.14) * step, y, step * 0.72, height))
    return _svg(label, HEIGHT, [*shapes, *_labels_below(bars, step)])


def lines(bars: Sequence[Bar], label: str, spoken: Spoken) -> str:
    """The same parts as lines of their own, a point for each bar."""
    top = ceiling(max((part.value for bar in bars for part in bar.parts), default=0))
    step = (100 - SCALE) / max(len(bars), 1)
    shapes = _scale(top, spoken)
    for series in zip(*(bar.parts for bar in bars), strict=True):
        points = [
            (SCALE + (place + 0.5) * step, TOP + PLOT * (1 - part.value / top))
            for place, part in enumerate(series)
        ]
        shapes += [_segment(series[0].colour, *ends) for ends in pairwise(points)]
        shapes += [_point(part, *point) for part, point in zip(series, points, strict=True)]
    return _svg(label, HEIGHT, [*shapes, *_labels_below(bars, step)])


def rows(bars: Sequence[Bar], label: str, spoken: Spoken) -> str:
    """Bars that lie below each other, each under its label."""
    line = 34
    top = max((bar.total for bar in bars), default=0) or 1
    longest = max((len(spoken(bar.total)) for bar in bars), default=0)
    room = 100 - 100 * _LETTER * (longest + 1) / NARROWEST
    shapes = []
    for place, bar in enumerate(bars):
        y = place * line
        shapes.append(
            f'<svg y="{y}" width="{room:.0f}%" height="18">{_text("0", 14, bar.label, "start")}</svg>'
        )
        shapes.append(_text("100%", y + 14, spoken(bar.total), "end"))
        x = 0.0
        for part in bar.parts:
            width = 100 * part.value / top
            shapes.append(_rect(part, x, y + 19, width, 9))
            x += width
    return _svg(label, max(line * len(bars) + 2, line), shapes)


def heat(grid: Sequence[Bar], label: str, hours: Sequence[str]) -> str:
    """Rows of 24 cells; the more, the darker. The parts of a bar are its cells."""
    left, cell_h = 9.0, 22
    cell_w = (100 - left) / 24
    top = max((part.value for bar in grid for part in bar.parts), default=0) or 1
    shapes = []
    for line, bar in enumerate(grid):
        y = line * cell_h
        shapes.append(_text("0", y + 15, bar.label, "start"))
        for hour, part in enumerate(bar.parts):
            opacity = 0.06 + 0.94 * part.value / top
            x = left + (hour + 0.05) * cell_w
            shapes.append(_rect(part, x, y + 1, cell_w * 0.9, cell_h - 2, opacity))
    y = len(grid) * cell_h + 14
    shapes += [
        _text(f"{left + (hour + 0.5) * cell_w:.2f}%", y, hours[hour], "middle") for hour in range(0, 24, 3)
    ]
    return _svg(label, y + 8, shapes)


def _labels_below(bars: Sequence[Bar], step: float) -> list[str]:
    """Seven at most; every second one steps back where the picture is narrow."""
    every = -(-len(bars) // _LABELS_MAX) or 1
    return [
        _text(
            f"{SCALE + (place + 0.5) * step:.2f}%",
            HEIGHT - 8,
            bars[place].label,
            "middle",
            "axis extra" if number % 2 else "axis",
        )
        for number, place in enumerate(range(0, len(bars), every))
    ]


def _scale(top: int, spoken: Spoken) -> list[str]:
    shapes = []
    for quarter in range(5):
        y = TOP + PLOT * (4 - quarter) / 4
        shapes.append(
            f'<line x1="{SCALE}%" y1="{y:.1f}" x2="100%" y2="{y:.1f}" stroke="#d5d9e0" class="grid"/>'
        )
        shapes.append(_text(f"{SCALE - 1.5}%", y + 4, spoken(top * quarter // 4), "end"))
    return shapes


def _text(x: str, y: float, text: str, anchor: str, classes: str = "axis") -> str:
    return f'<text x="{x}" y="{y:.1f}" text-anchor="{anchor}" {_TEXT} class="{classes}">{escape(text)}</text>'


def _rect(part: Part, x: float, y: float, width: float, height: float, opacity: float = 1) -> str:
    """`x` and `width` in percent."""
    faint = f' fill-opacity="{opacity:.2f}"' if opacity < 1 else ""
    place = f'x="{x:.2f}%" y="{y:.1f}" width="{max(width, 0):.2f}%" height="{max(height, 0):.1f}" rx="1.5"'
    return _linked(part, "rect", place + faint)


def _point(part: Part, x: float, y: float) -> str:
    return _linked(part, "circle", f'cx="{x:.2f}%" cy="{y:.1f}" r="4"')


def _linked(part: Part, tag: str, place: str) -> str:
    colour = f'fill="{COLOURS[part.colour]}" class="is-{part.colour}"'
    shape = f"<{tag} {place} {colour}><title>{escape(part.hint)}</title></{tag}>"
    return f'<a href="{escape(part.href)}" tabindex="-1">{shape}</a>' if part.href else shape


def _segment(colour: str, start: tuple[float, float], end: tuple[float, float]) -> str:
    return (
        f'<line x1="{start[0]:.2f}%" y1="{start[1]:.1f}" x2="{end[0]:.2f}%" y2="{end[1]:.1f}" '
        f'stroke="{COLOURS[colour]}" stroke-width="2" class="line-{colour}"/>'
    )


def _svg(label: str, height: float, shapes: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{FILE_WIDTH}" height="{height:.0f}" role="group" '
        f'aria-label="{escape(label)}" class="chart">{"".join(shapes)}</svg>'
    )
