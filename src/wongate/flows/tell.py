"""What a change leaves to be told: callbacks made and signed with it, and the lanes in which they wait for the worker."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from wongate.connections.database import Tx
from wongate.connections.json_text import dumps
from wongate.domain import callback
from wongate.domain.members import Flaw
from wongate.domain.outcome import Form
from wongate.domain.payment import FINISHED, Operation, Payment, Project
from wongate.flows.platform import Platform
from wongate.store import callbacks


def callback_rows(
    platform: Platform,
    project: Project,
    payment: Payment,
    operation: Operation,
    *,
    delay_s: int,
    form: Form | None = None,
    flaws: Sequence[Flaw] = (),
) -> list[dict[str, Any]]:
    """One row for each address that is told, body and signature made now and never again (I8)."""
    addresses = callback.urls(project, payment, operation, operation.request)
    if form is not None and payment.source == "page" and not project.settings.redirect_callback_on_page:
        return []  # E-17
    if not addresses:
        return []
    message = callback.body(project, payment, operation, form=form, flaws=flaws)
    text = dumps(callback.signed(message, project.secret))
    created_at = operation.changed_at
    due_at = (
        created_at
        if delay_s == 0
        else datetime.fromtimestamp(created_at.timestamp() + delay_s, created_at.tzinfo)
    )
    return [
        {
            "project_id": operation.project_id,
            "operation_id": operation.operation_id,
            "callback_id": platform.ids.next(),
            "payment_no": operation.payment_no,
            "seq": operation.seq,
            "intermediate": payment.status not in FINISHED,
            "lane": lane_of(url),
            "url": url,
            "body": text,
            "state": "waiting",
            "created_at": created_at,
            "due_at": due_at,
        }
        for url in addresses
    ]


@lru_cache(maxsize=1024)
def lane_of(url: str) -> str:
    """Scheme, host and port: endpoints there share their luck, others do not (F14)."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}"


def delay_s(payment: Payment, operation: Operation) -> int:
    """`callback.delay` of the request that opened the operation (section 2.1)."""
    source = operation.request or payment.request
    group = source.get("callback")
    delay = group.get("delay") if isinstance(group, dict) else None
    return delay if isinstance(delay, int) and 0 <= delay <= 600 else 0


def new_lanes(platform: Platform, rows: Sequence[Any]) -> set[tuple[int, str]]:
    """Lanes of these callbacks of which this process does not know that the worker looks there."""
    return {(row["project_id"], row["lane"]) for row in rows} - platform.lanes


async def open_lanes(platform: Platform, tx: Tx, rows: Sequence[Any]) -> None:
    """Makes sure that the worker will look where these callbacks wait; known lanes cost nothing."""
    new = new_lanes(platform, rows)
    if new:
        await callbacks.open_lanes(tx, sorted(new))
