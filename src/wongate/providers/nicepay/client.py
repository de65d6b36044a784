"""The calls to NICEPAY: one request each, no repetition, every answer a value (N-22)."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from wongate.connections.clock import Clock
from wongate.connections.http import Answer, Answered, NeverLeft
from wongate.domain.account import Account
from wongate.domain.outcome import (
    Approved,
    Authenticated,
    Declined,
    Exchange,
    NotSent,
    Outcome,
    ReturnResult,
    Standing,
    Unanswered,
    Undone,
)
from wongate.providers.nicepay import answers, codes, messages
from wongate.providers.nicepay.accounts import settings_of
from wongate.providers.nicepay.codes import CodeTable

Fields = Mapping[str, str | bytes]

_OK = 200
_MASKED = frozenset({"AuthToken", "SignData", "Signature"})
_NOT_KEPT = frozenset({"BuyerName", "BuyerTel", "BuyerEmail"})  # personal, and nothing that we need


class ProviderHttp(Protocol):
    """How a call leaves this server; `connections.http.Outbound` is one."""

    async def post_form(self, url: str, fields: Fields, *, connect_s: float, total_s: float) -> Answer:
        """One POST of a form, answered by a value whatever happens."""


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that has ended: `answer` was read, or `failure` says why not. `shown` is for people's eyes."""

    kind: str
    at: datetime
    duration_ms: int
    request: Mapping[str, str]
    answer: Mapping[str, str]
    failure: NotSent | Unanswered | None
    shown: Mapping[str, str]

    def exchange(self, verdict: str) -> Exchange:
        return Exchange(self.kind, self.at, self.duration_ms, self.request, self.shown, verdict)


class Nicepay:
    """NICEPAY classic as a `Provider`; `table` maps its result codes to ours (E-42)."""

    def __init__(self, http: ProviderHttp, clock: Clock, table: CodeTable = codes.DEFAULT) -> None:
        self._http = http
        self._clock = clock
        self._table = table

    order_number = staticmethod(messages.order_number)
    owner_of = staticmethod(messages.owner_of)
    window = staticmethod(messages.window)
    is_own_window = staticmethod(messages.is_own_window)
    bridge = staticmethod(messages.bridge)
    read_form = staticmethod(answers.read_form)
    read_notice = staticmethod(answers.read_notice)

    def read_return(
        self, account: Account, form: Mapping[str, str], *, order_number: str, amount: int
    ) -> ReturnResult:
        return answers.read_return(account, form, order_number=order_number, amount=amount, table=self._table)

    def may_notify(self, account: Account, sender: str) -> bool:
        return sender in settings_of(account).notice_ips

    async def approve(
        self, account: Account, authenticated: Authenticated, *, order_number: str, amount: int
    ) -> tuple[Outcome, Exchange]:
        at = self._clock.now()
        fields = messages.approval_request(account, authenticated, amount=amount, at=at)
        call = await self._call(account, "approve", authenticated.approve_url, fields, at)
        outcome = call.failure or answers.read_approval(
            account,
            call.answer,
            reference=authenticated.reference,
            order_number=order_number,
            table=self._table,
        )
        return outcome, call.exchange(_in_words(outcome))

    async def net_cancel(
        self, account: Account, authenticated: Authenticated, *, amount: int
    ) -> tuple[Undone, Exchange]:
        at = self._clock.now()
        fields = messages.net_cancel_request(account, authenticated, amount=amount, at=at)
        call = await self._call(account, "net_cancel", authenticated.net_cancel_url, fields, at)
        if call.failure:
            return Undone.UNCLEAR, call.exchange(_in_words(call.failure))
        undone = answers.read_net_cancel(
            account, call.answer, reference=authenticated.reference, amount=amount
        )
        return undone, call.exchange(undone)

    async def cancel(
        self,
        account: Account,
        reference: str,
        *,
        order_number: str,
        cancel_number: int,
        amount: int,
        whole: bool,
        reason: str,
    ) -> tuple[Outcome, Exchange]:
        at = self._clock.now()
        fields = messages.cancel_request(
            account,
            reference,
            order_number=order_number,
            cancel_number=cancel_number,
            amount=amount,
            whole=whole,
            reason=reason,
            at=at,
        )
        call = await self._call(account, "cancel", settings_of(account).cancel_url, fields, at)
        outcome = call.failure or answers.read_cancel(account, call.answer, table=self._table)
        return outcome, call.exchange(_in_words(outcome))

    async def inquire(self, account: Account, reference: str) -> tuple[Standing, Exchange]:
        at = self._clock.now()
        fields = messages.inquiry_request(account, reference, at=at)
        call = await self._call(account, "inquiry", settings_of(account).inquiry_url, fields, at)
        if call.failure:
            return Standing.UNCLEAR, call.exchange(_in_words(call.failure))
        standing = answers.read_inquiry(call.answer, reference=reference)
        return standing, call.exchange(standing)

    async def _call(self, account: Account, kind: str, url: str, fields: Fields, at: datetime) -> _Call:
        settings = settings_of(account)
        started = time.perf_counter()
        answered = await self._http.post_form(
            url, fields, connect_s=settings.connect_s, total_s=settings.connect_s + settings.read_s
        )
        duration_ms = round((time.perf_counter() - started) * 1000)
        answer, failure = _read(answered)
        shown = _shown(answer) if failure is None else _shown_failure(answered, failure, account, fields)
        return _Call(kind, at, duration_ms, {"url": url, **_shown(fields)}, answer, failure, shown)


def _read(answered: Answer) -> tuple[Mapping[str, str], NotSent | Unanswered | None]:
    if isinstance(answered, NeverLeft):
        return {}, NotSent(answered.reason)
    if not isinstance(answered, Answered):
        return {}, Unanswered(answered.reason)
    if answered.status != _OK:
        return {}, Unanswered(f"HTTP status {answered.status}")
    answer = answers.read_answer(answered.body)
    return (answer, None) if answer is not None else ({}, Unanswered("the answer cannot be read"))


def _shown(fields: Fields) -> dict[str, str]:
    """A message without its secrets: of tokens and hashes only the first six characters."""
    texts = {
        name: value.decode("euc-kr") if isinstance(value, bytes) else value
        for name, value in fields.items()
        if name not in _NOT_KEPT
    }
    return {
        answers.shown(name): answers.shown(f"{text[:6]}…" if name in _MASKED and text else text)
        for name, text in texts.items()
    }


def _shown_failure(
    answered: Answer, failure: NotSent | Unanswered, account: Account, fields: Fields
) -> dict[str, str]:
    """Why there is no answer, and the beginning of what came instead without secrets that it may repeat."""
    if not isinstance(answered, Answered):
        return {"reason": failure.reason}
    text = answered.body.decode("utf-8", "replace")
    for secret in (account.merchant_key, *(fields[name] for name in _MASKED & fields.keys())):
        if isinstance(secret, str) and secret:
            text = text.replace(secret, "…")
    return {"reason": failure.reason, "http_status": str(answered.status), "body": answers.shown(text)}


def _in_words(outcome: Outcome) -> str:
    match outcome:
        case Approved(amount=amount):
            return f"approved {amount}"
        case Declined(code=code, provider_code=provider_code):
            return f"declined {code} ({provider_code})"
        case NotSent(reason=reason):
            return f"not sent: {reason}"
        case Unanswered(reason=reason):
            return f"unanswered: {reason}"
