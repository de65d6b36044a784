"""Notifications to the merchant (nicepay 7): unsigned EUC-KR forms, repeated until the body of the answer is OK (N-16)."""

import asyncio
import contextlib
from collections.abc import Callable

import aiohttp

from wongate_simulator.books import Books
from wongate_simulator.clock import Clock, kst, stamp
from wongate_simulator.codes import APPROVED, CANCELLED, text_of
from wongate_simulator.faults import NOTICE, RESULT, Faults
from wongate_simulator.forms import write_form
from wongate_simulator.fundings import funding_of
from wongate_simulator.merchants import Merchant
from wongate_simulator.records import Notice, Payment

REPEAT_S = 60
TRIES = 10
AT_ONCE = 20  # a dead merchant holds up its own notices, not the loop
ANSWER_LIMIT_S = 30
# How long the loop sleeps at most: another process may move the shared clock without telling this one.
GLANCE_S = 0.5


class NoticeSender:
    """Sends what the books say is due, by the simulator's clock."""

    def __init__(self, clock: Clock, books: Books) -> None:
        self.clock = clock
        self.books = books
        self._woken = asyncio.Event()
        self._sending: set[int] = set()

    def queue(
        self,
        merchant: Merchant,
        payment: Payment,
        state_cd: str,
        faults: Faults,
        write: Callable[[], list[tuple[str, str]]],
    ) -> None:
        """Books a notification if the merchant has asked for them; `write` makes the fields only then."""
        if not (merchant.notices and merchant.notice_url):
            return
        fault = faults.take(NOTICE, RESULT, payment.moid, payment.tid or "")
        if fault and fault.kind == "lost":
            return
        due = self.clock.now() + (fault.after_s if fault and fault.kind == "late" else 0)
        body = write_form(write(), "euc-kr")
        for _ in range(2 if fault and fault.kind == "duplicate" else 1):
            self.books.add_notice(payment, state_cd, merchant.notice_url, body, due)
        self.wake()

    def wake(self) -> None:
        """Something was added, or the clock was moved."""
        self._woken.set()

    async def run(self, http: aiohttp.ClientSession) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                for notice in self.books.due_notices(self.clock.now(), AT_ONCE):
                    if notice.id not in self._sending:
                        self._sending.add(notice.id)
                        group.create_task(self._send(http, notice))
                self._woken.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), GLANCE_S)

    async def _send(self, http: aiohttp.ClientSession, notice: Notice) -> None:
        try:
            answer = await _post(http, notice)
            tries = notice.tries + 1
            done = answer == "OK" or tries >= TRIES
            self.books.note_try(notice, answer, None if done else self.clock.now() + REPEAT_S)
        finally:
            self._sending.discard(notice.id)


async def _post(http: aiohttp.ClientSession, notice: Notice) -> str:
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=euc-kr"}
    try:
        async with http.post(
            notice.url,
            data=notice.body,
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=ANSWER_LIMIT_S),
        ) as answer:
            text = (await answer.content.read(200)).decode("utf-8", "replace").strip()
            return text if answer.status == 200 else f"HTTP {answer.status} {text}"
    except (aiohttp.ClientError, OSError, ValueError) as trouble:
        return f"not delivered: {type(trouble).__name__}"


def notice_fields(
    payment: Payment, moment: float, amount: int, state_cd: str, cancel_moid: str
) -> list[tuple[str, str]]:
    """NICEPAY's form with its own casing: MOID, lower-case name, and RcptType beside the misspelt ReceitType."""
    asked = payment.asked()
    funding = funding_of(payment)
    cancelled = state_cd != "0"
    code = CANCELLED if cancelled else APPROVED
    named = {
        "PayMethod": "CARD",
        "MID": payment.mid,
        "TID": payment.tid or "",
        "MOID": payment.moid,
        "Amt": str(amount),
        "GoodsName": asked.get("GoodsName", ""),
        "name": asked.get("BuyerName", ""),
        "BuyerEmail": asked.get("BuyerEmail", ""),
        "MallUserID": asked.get("MallUserID", ""),
        "BuyerAuthNum": "",
        "AuthDate": stamp(payment.approved_at or moment),
        "AuthCode": payment.auth_code,
        "StateCd": state_cd,
        "ResultCode": code,
        "ResultMsg": text_of(code),
        "FnCd": funding["CardCode"],
        "FnName": funding["CardName"],
        "CancelDate": stamp(moment) if cancelled else "",
        "CancelMOID": cancel_moid,
        "RcptType": "",
        "ReceitType": "",
        "RcptTID": "",
        "RcptAuthCode": "",
        "TransType": "0",
        "MallReserved": asked.get("MallReserved", ""),
        "MallReserved1": "",
        **{f"MallReserved{number}": "" for number in range(2, 11)},
        "CardNo": funding["CardNo"],
        "CardQuota": funding["CardQuota"],
        "SUB_ID": "",
        "AcquCd": funding["AcquCardCode"],
        "AcquName": funding["AcquCardName"],
        "ClickpayCl": funding["ClickpayCl"],
        "TermNo": "",
        "EdiNo": "",
        "CardCl": funding["CardCl"],
        "CardType": funding["CardType"],
        "PG": "NICE",
        "CartCnt": "1",
    }
    return list(named.items())


def state_of_cancel(payment: Payment, moment: float) -> str:
    """StateCd: 1 while the card company has not acquired the sale, 2 afterwards; acquiring runs at midnight KST."""
    approved = kst(payment.approved_at or moment).date()
    return "1" if kst(moment).date() == approved else "2"
