"""The figures as one SVG for README: bars below each other, readable on light and dark, nothing fetched from anywhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LEFT, RIGHT = 780, 308, 140
"""Pixels of the picture, of the words on the left and of the numbers on the right."""
LINE, GAP, PAD = 26, 22, 20
COLOURS: Mapping[str, Mapping[str, str]] = {
    "light": {
        "paper": "#ffffff",
        "ink": "#1b2333",
        "faint": "#556070",
        "main": "#1f4fd1",
        "other": "#9aa5b8",
    },
    "dark": {"paper": "#12161f", "ink": "#e8ecf4", "faint": "#a3aec0", "main": "#7da2ff", "other": "#6d7889"},
}
BAD = {"light": "#b3221c", "dark": "#ff8d84"}
"""Of bars that are beyond their limit."""


@dataclass(frozen=True, slots=True)
class Bar:
    """`share` of the panel's whole width; `number` stands at its end. Its kind is ours, another's, or beyond its limit."""

    words: str
    share: float
    number: str
    kind: str = "main"  # or "other", "bad"


@dataclass(frozen=True, slots=True)
class Panel:
    """`limit` is the share at which a line stands, where there is one."""

    title: str
    bars: Sequence[Bar]
    limit: float | None = None


def svg(title: str, description: str, panels: Sequence[Panel]) -> str:
    """A picture with its own paper, so that it reads on any page, and with its numbers in words for those who do not see it."""
    parts: list[str] = []
    y = PAD
    for panel in panels:
        parts += _panel(panel, y)
        y += LINE * (len(panel.bars) + 1) + GAP
    height = y - GAP + PAD
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            'role="img" aria-labelledby="title description">',
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="description">{escape(description)}</desc>',
            f"<style>{_style()}</style>",
            f'<rect class="paper" width="{WIDTH}" height="{height}" rx="10"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _panel(panel: Panel, y: int) -> list[str]:
    shapes = [f'<text class="title" x="{PAD}" y="{y + 14}">{escape(panel.title)}</text>']
    room = WIDTH - LEFT - RIGHT
    for place, bar in enumerate(panel.bars, 1):
        top = y + place * LINE
        width = max(2.0, room * min(bar.share, 1.0))
        shapes += [
            f'<text x="{LEFT - 10}" y="{top + 14}" text-anchor="end">{escape(bar.words)}</text>',
            f'<rect class="{bar.kind}" x="{LEFT}" y="{top + 2}" width="{width:.1f}" height="16" rx="3"/>',
            f'<text class="number" x="{WIDTH - PAD}" y="{top + 14}" text-anchor="end">{escape(bar.number)}</text>',
        ]
    if panel.limit is not None:
        x, end = LEFT + room * panel.limit, y + (len(panel.bars) + 1) * LINE - 4
        shapes.append(f'<line x1="{x:.1f}" y1="{y + LINE - 2}" x2="{x:.1f}" y2="{end}"/>')
    return shapes


def _style() -> str:
    dark = _colours(COLOURS["dark"], BAD["dark"])
    shape = "text{font:13px system-ui,sans-serif}.title{font-weight:600}.number{font-variant-numeric:tabular-nums}"
    return f"{shape}{_colours(COLOURS['light'], BAD['light'])}@media(prefers-color-scheme:dark){{{dark}}}"


def _colours(of: Mapping[str, str], bad: str) -> str:
    filled = {"text": of["faint"], ".title,.number": of["ink"], ".bad": bad}
    filled |= {f".{name}": of[name] for name in ("paper", "main", "other")}
    lines = f"line{{stroke:{of['ink']};stroke-dasharray:3 3}}"
    return "".join(f"{name}{{fill:{colour}}}" for name, colour in filled.items()) + lines
