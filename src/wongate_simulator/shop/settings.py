"""What a merchant is given by the platform, and where this shop itself lives."""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

CURRENCY = "KRW"  # Payco takes nothing else; amounts are whole won


@dataclass(frozen=True)
class ShopSettings:
    """URLs carry no slash at the end: `http://127.0.0.1:8080`, `http://127.0.0.1:8080/payment`."""

    gate_url: str
    page_url: str
    own_url: str
    simulator_url: str
    project_id: int
    secret: str = field(repr=False)
    data_dir: Path

    @property
    def callback_url(self) -> str:
        return f"{self.own_url}/callbacks"

    @property
    def page_origin(self) -> str:
        return origin_of(self.page_url)

    def return_url(self, outcome: str, payment_id: str) -> str:
        """The platform appends nothing to a merchant's URL (E-26), so the order's number is put there now."""
        return f"{self.own_url}/return/{outcome}?order={payment_id}"


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
