"""A contract with a payment provider: one merchant id there, with its key and hosts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Account:
    """`settings` hold what the provider's folder understands; `providers/nicepay/accounts.py` documents its own."""

    account_id: int
    provider: str
    merchant_id: str
    merchant_key: str = field(repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict)
