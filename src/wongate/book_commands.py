"""`wongate audit` and `wongate reconcile`: do the books hold, in themselves and beside the provider's?"""

import argparse
import asyncio
import csv
import json
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from http.client import HTTPException
from pathlib import Path
from zoneinfo import ZoneInfo

from wongate.app import with_platform
from wongate.commands import progress, table
from wongate.domain.comparison import Bucket, Theirs
from wongate.domain.refusal import Unfit
from wongate.flows import audit, compare
from wongate.flows.audit import OPERATOR
from wongate.flows.compare import Compared
from wongate.flows.platform import Platform
from wongate.flows.settle import Door
from wongate.flows.settle_by_list import ProviderList, Settled, settle_open_refunds
from wongate.mistake import Mistake
from wongate.reports import invariants

SHOWN = 50
SEOUL = ZoneInfo("Asia/Seoul")


def check(options: argparse.Namespace) -> int:
    """Exit code 0: all holds; 1: something does not."""
    return with_platform(_check)


async def _check(platform: Platform) -> int:
    async def secrets(project_id: int) -> Sequence[str]:
        project = await platform.project(project_id)
        return project.secrets if project else ()

    async with platform.database.transaction() as tx:
        found = [finding async for finding in invariants.findings(tx, secrets)]
        open_ones = await invariants.unresolved(tx)
    _print_rows(
        ("broken", "project", "number", "what does not fit"),
        [(f.invariant, str(f.project_id), str(f.number), f.text) for f in found],
    )
    verdict = await audit.verify(platform.database)
    chain = "unbroken" if verdict.bad_seq is None else f"breaks at row {verdict.bad_seq}: {verdict.reason}"
    names = " ".join(invariants.INVARIANTS)
    print(f"invariants {names}: {len(found)} findings" if found else f"invariants {names} hold")
    print(f"audit log: {verdict.entries} rows, {chain}, head {verdict.head or '-'}")
    print(f"unresolved: {len(open_ones)}")
    _print_rows(
        ("project", "payment", "operation", "kind", "stage", "won"),
        [
            tuple(
                str(row[name])
                for name in ("project_id", "payment_id", "operation_id", "kind", "stage", "amount")
            )
            for row in open_ones
        ],
    )
    return 1 if found or verdict.bad_seq is not None else 0


def _print_rows(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """The first of them; nothing when there are none."""
    if rows:
        print(table(heads, rows[:SHOWN]))
    if len(rows) > SHOWN:
        print(f"... and {len(rows) - SHOWN} more")


def reconcile(options: argparse.Namespace) -> int:
    """Exit code 0: the books agree but for what is listed as unresolved; 1: they differ. With `--settle` the provider's list
    first settles the refunds of unknown outcome that it tells of; the comparison is of the books as they are then."""
    read = _list(options)
    _check_settling(options)
    until = options.complete_until
    if read is not None:
        theirs = read()  # a list that cannot be read is said before the database is opened
        if options.file:
            until = until or max((told.at for told in theirs.values() if told.at), default=None)

    async def story(platform: Platform) -> int:
        if options.complete_until and options.complete_until > platform.clock.now():
            raise Mistake(f"--complete-until {until} is yet to come: no list is complete until then")
        settled = await _settle(platform, options, read) if read is not None and options.settle else None
        if read is None:
            compared = await compare.by_inquiry(platform, options.since, progress("asked"))
        else:
            compared = await compare.with_list(platform, read, options.since, until)
        return _told(compared, settled)

    return with_platform(story)


def _check_settling(options: argparse.Namespace) -> None:
    if options.settle and not (options.file or options.simulator):
        raise Mistake("--settle needs the provider's list (--file): an inquiry tells no amount")
    if options.settle and options.file and options.complete_until is None:
        raise Mistake("--settle with --file needs --complete-until: what came later is not in the list")
    if options.complete_until and not options.file:
        raise Mistake("--complete-until goes with --file")


async def _settle(
    platform: Platform, options: argparse.Namespace, read: Callable[[], dict[str, Theirs]]
) -> list[Settled]:
    # The clock before the list is read: what comes in between may be in it or not.
    until = options.complete_until or platform.clock.now()
    source = options.file.name if options.file else "the simulator's books"
    listed = ProviderList(source, await asyncio.to_thread(read), until)
    try:
        return await settle_open_refunds(platform, Door(platform), OPERATOR, listed, options.since)
    except Unfit as unfit:
        raise Mistake(f"{source}: {unfit.message}") from None


def _told(compared: Compared, settled: list[Settled] | None) -> int:
    found = compared.differences
    counts = Counter(difference.bucket for difference in found)
    _print_rows(
        ("project", "payment", "operation", "won", "settled by the list"),
        [
            (str(one.project_id), one.payment_id, str(one.operation_id), f"{one.amount:,}", one.end)
            for one in settled or ()
        ],
    )
    _print_rows(
        ("bucket", "project", "TID", "order number", "left with the merchant"),
        [(d.bucket, str(d.project_id or "-"), d.reference, d.order_number, d.text) for d in found],
    )
    summary = [f"{bucket}: {counts[bucket]}" for bucket in Bucket]
    if settled is not None:
        summary.append(f"settled: {len(settled)}")
    if compared.newer:
        summary.append(f"newer than the list: {compared.newer}")
    print(", ".join(summary))
    return 1 if set(counts) - {Bucket.UNRESOLVED} else 0


def _list(options: argparse.Namespace) -> Callable[[], dict[str, Theirs]] | None:
    """How to read the provider's own list, when one was named."""
    if options.simulator:
        return lambda: _simulator_books(options.simulator)
    if options.file:
        return lambda: _settlement_file(options.file)
    return None


def _simulator_books(base_url: str) -> dict[str, Theirs]:
    url = f"{base_url.rstrip('/')}/control/books"
    if not url.startswith(("http://", "https://")):
        raise Mistake(f"{base_url!r} is not an http URL")
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - the operator's own URL, http alone
            books = json.load(answer)["books"]
    except (OSError, ValueError, KeyError, HTTPException) as error:
        raise Mistake(f"{url}: {error}") from None
    return {row["tid"]: Theirs(row["tid"], row["moid"], row["remain"]) for row in books if row["tid"]}


def _settlement_file(path: Path) -> dict[str, Theirs]:
    """CSV with the columns tid, moid, amount, cancelled in whole won, and perhaps `at`, Seoul's time where it names no zone. Rows
    of one tid add up: a cancel may be a row of its own, with its amount under `cancelled` or negative."""
    left: dict[str, Theirs] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for number, row in enumerate(csv.DictReader(file), 2):
                reference = row["tid"].strip()
                amount = _whole_won(row["amount"], number) - _whole_won(row.get("cancelled") or "0", number)
                before = left.get(reference)
                moid = row.get("moid") or (before.order_number if before else "")
                moments = [at for at in (_moment(row.get("at"), number), before and before.at) if at]
                left[reference] = Theirs(
                    reference,
                    moid,
                    amount + ((before.amount or 0) if before else 0),
                    at=max(moments, default=None),
                )
    except (KeyError, AttributeError):
        raise Mistake(f"{path}: the columns tid, moid, amount, cancelled are needed") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise Mistake(f"{path} is no CSV file in UTF-8: {error}") from None
    return left


def _moment(text: str | None, line: int) -> datetime | None:
    if not text or not text.strip():
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Mistake(f"line {line}: {text!r} is no moment such as 2026-11-22 23:59:59") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=SEOUL)


def _whole_won(text: str | None, line: int) -> int:
    try:
        return int((text or "").replace(",", ""))
    except ValueError:
        raise Mistake(f"line {line}: {(text or '')!r} is no amount in whole won") from None
