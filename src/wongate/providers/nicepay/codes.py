"""NICEPAY's result codes and what they mean for an operation (section 8.6). The tables are data (E-42)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from wongate.domain import codes as ours

APPROVED = "3001"
AUTHENTICATED = "0000"
INQUIRY_OK = "0000"
CANCELLED = frozenset({"2001", "2211"})
ALREADY_CANCELLED = "2013"
CANCEL_AGAIN = "2056"  # the issuer did not answer NICEPAY, which asks for the same cancel once more
NET_CANCEL_NOTHING = "2012"
NET_CANCEL_ALREADY = frozenset({"2013", "2015"})
NET_CANCEL_WINDOW_OVER = "2020"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`code` is ours. `unclear`: NICEPAY itself does not know, or the thing may have been done before."""

    code: int
    alarm: bool = False
    unclear: bool = False


_UNLISTED = Verdict(ours.GENERAL_DECLINE)
_UNCLEAR = Verdict(ours.AWAITING_PROVIDER, unclear=True)
_LINES_DOWN = "1620 A299 A226 A401 11xx X001-X004 9002"

# Codes of one meaning share a row; `1701-1704` and `14xx` stand for every code between.
_SALE_ROWS = (
    # the payer cancelled
    ("I009 I002 9991 9993 9994", Verdict(20301)),
    # expired
    ("W111 0204 A245 W112", Verdict(ours.TIMED_OUT)),
    # our order number is not new
    ("W005 1681 1722 A127", Verdict(20702, alarm=True)),
    # key, MID or IP address not accepted; method not enabled
    ("W007 W009 1303 1612 1641 1642 A101 A211", Verdict(ours.PROVIDER_SETTINGS, alarm=True)),
    ("V001 W003 W006 1501 1512 1701-1704", Verdict(ours.PROVIDER_SETTINGS, alarm=True)),
    ("1711-1714 A109 A114 A224", Verdict(ours.PROVIDER_SETTINGS, alarm=True)),
    ("3043 15B1 15B2 1516 W004", Verdict(ours.PROVIDER_SETTINGS, alarm=True)),
    # the request was built wrongly, or a clock is wrong
    ("W001 W002 W008 W100 W104 14xx 1622 1623", Verdict(20702, alarm=True)),
    ("A102 A106 A115 A116 A117 A147 A210 A212", Verdict(20702, alarm=True)),
    # approved amount differs from the authenticated one
    ("A123", Verdict(ours.WRONG_AMOUNT_PAID, alarm=True)),
    # too small
    ("3041 1616 W011 W090 A113", Verdict(20101)),
    # wrong card or wallet data
    ("3011 3021 3022 3025 3026", Verdict(20102)),
    # refused by issuer or wallet; the reason is only in the text (N-20)
    ("3095 3002 3081 A110", Verdict(ours.GENERAL_DECLINE)),
    # NICEPAY or the VAN is down: certainly not approved
    ("1523 I001 V003 A246", Verdict(20202)),
    # taken twice: the first one may have gone through
    ("1610 1621 1682 A225", _UNCLEAR),
    (_LINES_DOWN, _UNCLEAR),
)
_CANCEL_ROWS = (
    # under way, or refused because an earlier cancel succeeded
    ("2002 2212 2056 2015", _UNCLEAR),
    (_LINES_DOWN, _UNCLEAR),
    # cancelled before; the claimed remainder differs
    ("2013 2059 2060", Verdict(20701)),
    # NICEPAY's books differ from ours
    ("2011 2032", Verdict(ours.REFUND_ABOVE_REMAINDER, alarm=True)),
    # not positive
    ("2010", Verdict(20502)),
    # unknown there, or another merchant's
    ("2012 2019 2035 A122 A118", Verdict(20703, alarm=True)),
    # not possible, or no longer
    ("2014 2016 2017 2018 2031 2037 2046 2053 1531 1532", Verdict(ours.REFUND_UNAVAILABLE)),
    # only the full amount
    ("2028 2029 2030 2033 2034 2038 2039 2051 2052", Verdict(ours.FULL_AMOUNT_ONLY)),
    ("2057 2058 1533 1534 1535", Verdict(ours.FULL_AMOUNT_ONLY)),
    # cancel limit, or too little money not yet settled
    ("2023 2026", Verdict(20504)),
    # password, key, signature
    ("2024 2025 V803 1711-1714 A101 A211", Verdict(ours.PROVIDER_SETTINGS, alarm=True)),
)


def _expanded(codes: str) -> Iterator[str]:
    for token in codes.split():
        first, dash, last = token.partition("-")
        if dash:
            letter, start = first[:-3], int(first[-3:])
            yield from (f"{letter}{number:03}" for number in range(start, int(last[-3:]) + 1))
        elif token.endswith("xx"):
            yield from (f"{token[:-2]}{number:02}" for number in range(100))
        else:
            yield token


def _table(rows: tuple[tuple[str, Verdict], ...]) -> dict[str, Verdict]:
    return {code: verdict for codes, verdict in rows for code in _expanded(codes)}


@dataclass(frozen=True, slots=True)
class CodeTable:
    """The mapping of section 8.6: of sales (window and approval) and of cancels."""

    sales: Mapping[str, Verdict] = field(default_factory=lambda: _table(_SALE_ROWS))
    cancels: Mapping[str, Verdict] = field(default_factory=lambda: _table(_CANCEL_ROWS))

    def of_sale(self, code: str) -> Verdict:
        return self.sales.get(code, _UNLISTED)

    def of_cancel(self, code: str) -> Verdict:
        return self.cancels.get(code, _UNLISTED)

    def overridden(self, changes: Mapping[str, Mapping[str, int]]) -> "CodeTable":
        """The table with an operator's changes, `{"sale": {"3095": 20105}, "cancel": {...}}` (E-42).

        Only what a decline is called may change. Raises ValueError for a success or an unclear code, which
        would turn money that may have moved into a decline, and for a platform code that does not exist.
        """
        if unknown := changes.keys() - {"sale", "cancel"}:
            raise ValueError(f"only 'sale' and 'cancel' can be changed, not {sorted(unknown)}")
        return CodeTable(
            sales=_changed(self.sales, changes.get("sale", {}), frozenset({APPROVED, AUTHENTICATED})),
            cancels=_changed(self.cancels, changes.get("cancel", {}), CANCELLED | {ALREADY_CANCELLED}),
        )


def _changed(
    table: Mapping[str, Verdict], changes: Mapping[str, int], fixed: frozenset[str]
) -> dict[str, Verdict]:
    changed = dict(table)
    for code, ours_code in changes.items():
        verdict = table.get(code, _UNLISTED)
        if verdict.unclear or code in fixed:
            raise ValueError(f"{code} is no decline at NICEPAY and cannot be mapped to {ours_code}")
        if ours_code not in ours.MESSAGES or ours_code in _NO_DECLINES:
            raise ValueError(f"{ours_code} is not a decline code of this platform")
        changed[code] = replace(verdict, code=ours_code)
    return changed


_NO_DECLINES = frozenset({ours.SUCCESS, ours.AWAITING, ours.AWAITING_PROVIDER})
DEFAULT = CodeTable()
