"""A past for the Dashboard's tests: payments with sales, refunds, callbacks and attempts, drawn with a seeded chance and written
as rows. `Past` keeps what it wrote, so that a test can add it up on its own."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from wongate.connections.ids import EPOCH_MS
from wongate.domain.payment import payment_key
from wongate.flows.platform import Platform

DECLINES = (20105, 20301, 20602, 20000)


@dataclass(slots=True)
class Past:
    """Rows as they were written."""

    payments: list[dict[str, Any]] = field(default_factory=list)
    operations: list[dict[str, Any]] = field(default_factory=list)
    transitions: list[dict[str, Any]] = field(default_factory=list)
    callbacks: list[dict[str, Any]] = field(default_factory=list)
    attempts: list[dict[str, Any]] = field(default_factory=list)


def draw(project_id: int, until: datetime, *, days: float, number: int, seed: int = 7) -> Past:
    """Payments spread over the days before `until`, one in 40 of them still awaited."""
    chance = random.Random(seed)
    past = Past()
    moments = sorted(until - timedelta(seconds=chance.uniform(1, days * 86400)) for _ in range(number))
    for place, at in enumerate(moments):
        _payment(past, chance, project_id, place, at.replace(microsecond=0), until)
    return past


def _payment(
    past: Past, chance: random.Random, project_id: int, place: int, at: datetime, until: datetime
) -> None:
    number = (int(at.timestamp() * 1000) - EPOCH_MS) << 12 | 63 << 6 | place % 64
    ends_at = min(at + timedelta(seconds=chance.randint(5, 900)), until)
    fate = (
        "awaiting redirect result" if place % 40 == 39 else chance.choices(("success", "decline"), (8, 2))[0]
    )
    if place % 50 == 49:
        fate = "error"
    amount = chance.randint(1, 900) * 100
    paid = fate == "success"
    code = {"success": 0, "decline": chance.choice(DECLINES), "error": 2004}.get(fate, 9999)
    payment = {
        "project_id": project_id,
        "payment_no": number,
        "payment_id": f"Order-{project_id}-{place}",
        "payment_key": payment_key(f"Order-{project_id}-{place}"),
        "status": fate,
        "method": "payco",
        "source": chance.choice(("gate", "page")),
        "amount": amount,
        "currency": "KRW",
        "captured": amount if paid else 0,
        "refunded": 0,
        "reserved": 0,
        "description": "A pair of socks",
        "customer_id": f"customer{chance.randint(1, 30)}",
        "sale_id": number,
        "flag": "late success, returned" if place % 97 == 96 else "",
        "created_at": at,
        "changed_at": at if code == 9999 else ends_at,
        "request": {"customer": {"id": "c"}},
    }
    past.payments.append(payment)
    _operation(
        past, payment, "sale", number, amount, "decline" if fate == "error" else fate, code, at, ends_at
    )
    if paid and place % 9 == 0:
        back = amount if place % 18 == 0 else amount // 200 * 100 or amount
        payment |= {"refunded": back, "status": "refunded" if back == amount else "partially refunded"}
        later = min(ends_at + timedelta(hours=chance.uniform(0.1, 40)), until)
        _operation(past, payment, "refund", number + 1, back, "success", 0, ends_at, later)
    if code != 9999:
        _callback(past, payment, ends_at, "failed" if place % 61 == 60 else "delivered")


def _operation(
    past: Past,
    payment: dict[str, Any],
    kind: str,
    operation_id: int,
    amount: int,
    status: str,
    code: int,
    at: datetime,
    ends_at: datetime,
) -> None:
    key = {"project_id": payment["project_id"], "operation_id": operation_id}
    final = code != 9999
    past.operations.append(
        {
            **key,
            "payment_no": payment["payment_no"],
            "kind": kind,
            "status": status,
            "stage": "done" if final else "waiting",
            "amount": amount,
            "currency": "KRW",
            "code": code,
            "request_id": f"{operation_id:014x}{'a' * 26}-{'b' * 40}-00000001",
            "request_hash": "",
            "description": payment["description"],
            "account_id": 1,
            "order_number": f"{payment['project_id']}W{payment['sale_id']}",
            "return_key": "never shown",
            "reference": f"TID{payment['sale_id']}" if kind == "sale" and status == "success" else "",
            "created_at": at,
            "changed_at": ends_at if final else at,
            "wake_at": None if final else at + timedelta(minutes=30),
            "seq": 2 if final else 1,
        }
    )
    opened = {"status": "awaiting redirect result" if kind == "sale" else "processing", "stage": "waiting"}
    first = {**key, "seq": 1, "event": "opened", **opened, "payment_status": "processing", "code": 9999}
    past.transitions.append({**first, "final": False, "note": "", "at": at})
    if final:
        last = {
            "seq": 2,
            "event": "approved" if status == "success" else "declined",
            "status": status,
            "stage": "done",
        }
        ended = {**key, **last, "payment_status": payment["status"], "code": code, "final": True}
        past.transitions.append({**ended, "note": "", "at": ends_at})


def _callback(past: Past, payment: dict[str, Any], at: datetime, state: str) -> None:
    key = {
        "project_id": payment["project_id"],
        "operation_id": payment["sale_id"],
        "callback_id": payment["sale_id"] + 2,
    }
    failures = 121 if state == "failed" else 0
    past.callbacks.append(
        {
            **key,
            "payment_no": payment["payment_no"],
            "seq": 2,
            "intermediate": False,
            "lane": "http://127.0.0.1:9",
            "url": "http://127.0.0.1:9/callbacks",
            "body": f'{{"payment":{{"id":"{payment["payment_id"]}"}},"signature":"c2lnbmVk"}}',
            "state": state,
            "attempt": failures or 1,
            "failures": failures,
            "created_at": at,
            "due_at": at,
            "finished_at": at,
        }
    )
    answered = (
        {"http_status": 500, "response": "no <b>room</b>"}
        if failures
        else {"http_status": 200, "response": "OK"}
    )
    past.attempts.append(
        {**key, "attempt": failures or 1, "at": at, "duration_ms": 12, "error": "", **answered}
    )


async def write(platform: Platform, *pasts: Past) -> None:
    async with platform.database.transaction() as tx:
        for past in pasts:
            for table, rows in (
                ("payment", past.payments),
                ("operation", past.operations),
                ("transition", past.transitions),
                ("callback", past.callbacks),
                ("attempt", past.attempts),
            ):
                await _insert(tx, table, rows)


async def _insert(tx: Any, table: str, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        names = list(rows[0])
        places = ", ".join(f"${number}" for number in range(1, len(names) + 1))
        statement = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})"
        await tx.executemany(statement, [[row[name] for name in names] for row in rows])
