"""How a project may dress its payment page: a name, a colour, a logo. Nothing is fetched from anywhere else."""

import re
from dataclasses import dataclass

from wongate.domain.payment import Project

_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_LOGO = re.compile(r"data:image/(?:png|jpeg|webp);base64,[A-Za-z0-9+/=]{1,40000}")
READABLE = 4.5
"""Contrast that text on the pay button needs (WCAG 1.4.3)."""


@dataclass(frozen=True, slots=True)
class Brand:
    """`color` and `on_color` are empty for our own colours, `logo` is empty or a `data:` URL."""

    name: str
    color: str
    on_color: str
    logo: str

    @property
    def initial(self) -> str:
        return self.name[:1].upper()


def brand_of(project: Project) -> Brand:
    """What cannot be used is left out: a wrong colour must not keep anybody from paying."""
    settings = project.settings
    color = settings.page_color if _COLOR.fullmatch(settings.page_color) else ""
    logo = settings.page_logo_url if _LOGO.fullmatch(settings.page_logo_url) else ""
    return Brand(settings.page_name or project.name, color, _text_on(color) if color else "", logo)


def _text_on(color: str) -> str:
    """White where it can be read, else black: one of the two always can."""
    return "#ffffff" if contrast(color, "#ffffff") >= READABLE else "#000000"


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two `#rrggbb` colours, 1 to 21, as WCAG 2 defines it."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: str) -> float:
    red, green, blue = (_linear(int(color[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)
