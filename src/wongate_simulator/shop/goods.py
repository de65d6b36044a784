"""What the shop sells. Names and descriptions are in `words.py`, drawings in `templates/_drawings.html`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Good:
    name: str
    amount: int  # whole won


GOODS = {
    good.name: good
    for good in (
        Good("tea", 1_000),
        Good("notebook", 4_500),
        Good("soap", 7_000),
        Good("cup", 12_000),
        Good("candle", 18_000),
        Good("plant", 29_000),
    )
}
