"""Charts as SVG, drawn without a library and without style attributes: classes carry the page's colours, presentation
attributes the same picture's colours in a file of its own. Every shape is a link to the rows behind it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 480, 210
LEFT, RIGHT, TOP, BOTTOM = 54, 8, 10, 26
COLOURS = {"good": "#116b3c", "bad": "#b3221c", "main": "#1f4fd1", "quiet": "#7b8494"}
_TEXT = 'font-size="12" font-family="system-ui, sans-serif" fill="#556070" class="axis"'
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


def ceiling(value: int) -> int:
    """A round number at or above the value: one digit times a power of ten."""
    if value <= 4:
        return 4
    power = 10 ** (len(str(value)) - 1)
    return next(int(step * power) for step in _STEPS if step * power >= value)


def columns(bars: Sequence[Bar], label: str, spoken: Callable[[int], str]) -> str:
    """Bars that stand side by side, their parts one on the other; the scale on the left in `spoken` numbers."""
    top = ceiling(max((bar.total for bar in bars), default=0))
    inner_w, inner_h = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    step = inner_w / max(len(bars), 1)
    shapes = [_scale_line(TOP + inner_h * (4 - n) / 4, spoken(top * n // 4)) for n in range(5)]
    every = -(-len(bars) // _LABELS_MAX)
    for place, bar in enumerate(bars):
        x, y = LEFT + place * step, float(TOP + inner_h)
        for part in bar.parts:
            height = inner_h * part.value / top
            y -= height
            shapes.append(_rect(part, x + step * 0.14, y, step * 0.72, height))
        if place % every == 0:
            shapes.append(
                f'<text x="{x + step / 2:.1f}" y="{HEIGHT - 8}" text-anchor="middle" {_TEXT}>{escape(bar.label)}</text>'
            )
    return _svg(label, WIDTH, HEIGHT, shapes)


def rows(bars: Sequence[Bar], label: str, spoken: Callable[[int], str]) -> str:
    """Bars that lie below each other, each under its label."""
    line = 34
    top = max((bar.total for bar in bars), default=0) or 1
    height = max(line * len(bars) + 6, line)
    shapes = []
    for place, bar in enumerate(bars):
        y = place * line
        shapes.append(f'<text x="0" y="{y + 14}" {_TEXT}>{escape(bar.label)}</text>')
        shapes.append(
            f'<text x="{WIDTH}" y="{y + 14}" text-anchor="end" {_TEXT}>{escape(spoken(bar.total))}</text>'
        )
        x = 0.0
        for part in bar.parts:
            width = WIDTH * part.value / top
            shapes.append(_rect(part, x, y + 19, width, 9))
            x += width
    return _svg(label, WIDTH, height, shapes)


def heat(grid: Sequence[Bar], label: str, hours: Sequence[str]) -> str:
    """Rows of 24 cells; the more, the darker. The parts of a bar are its cells."""
    cell_w, cell_h = (WIDTH - LEFT) / 24, 17
    top = max((part.value for bar in grid for part in bar.parts), default=0) or 1
    shapes = []
    for line, bar in enumerate(grid):
        y = line * cell_h
        shapes.append(f'<text x="0" y="{y + 13}" {_TEXT}>{escape(bar.label)}</text>')
        for hour, part in enumerate(bar.parts):
            opacity = 0.06 + 0.94 * part.value / top
            shapes.append(_rect(part, LEFT + hour * cell_w + 1, y + 1, cell_w - 2, cell_h - 2, opacity))
    y = len(grid) * cell_h + 14
    shapes += [
        f'<text x="{LEFT + (hour + 0.5) * cell_w:.1f}" y="{y}" text-anchor="middle" {_TEXT}>{escape(hours[hour])}</text>'
        for hour in range(0, 24, 3)
    ]
    return _svg(label, WIDTH, y + 8, shapes)


def _rect(part: Part, x: float, y: float, width: float, height: float, opacity: float = 1) -> str:
    faint = f' fill-opacity="{opacity:.2f}"' if opacity < 1 else ""
    shape = (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}" rx="1.5" '
        f'fill="{COLOURS[part.colour]}" class="is-{part.colour}"{faint}><title>{escape(part.hint)}</title></rect>'
    )
    return f'<a href="{escape(part.href)}" tabindex="-1">{shape}</a>' if part.href else shape


def _scale_line(y: float, text: str) -> str:
    return (
        f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#d5d9e0" class="grid"/>'
        f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" {_TEXT}>{escape(text)}</text>'
    )


def _svg(label: str, width: int, height: float, shapes: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" role="group" '
        f'aria-label="{escape(label)}" class="chart">{"".join(shapes)}</svg>'
    )
