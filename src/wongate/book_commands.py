"""`wongate audit` and `wongate reconcile`: do the books hold, in themselves and beside the provider's?"""

import argparse
import asyncio
import csv
import json
import sys
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from wongate.app import opened
from wongate.commands import Mistake, table
from wongate.domain.comparison import Bucket, Difference, Theirs
from wongate.flows import audit, compare
from wongate.flows.platform import Platform
from wongate.reports import invariants
from wongate.settings import load

SHOWN = 50


def check(options: argparse.Namespace) -> int:
    """Exit code 0: all holds; 1: something does not."""
    return _with_platform(_check)


async def _check(platform: Platform) -> int:
    async with platform.database.transaction() as tx:
        found = [finding async for finding in invariants.findings(tx)]
        open_ones = await invariants.unresolved(tx)
    for finding in found[:SHOWN]:
        print(f"{finding.invariant}  project {finding.project_id}  {finding.number}  {finding.text}")
    if len(found) > SHOWN:
        print(f"... and {len(found) - SHOWN} more")
    verdict = await audit.verify(platform.database)
    chain = "unbroken" if verdict.bad_seq is None else f"breaks at row {verdict.bad_seq}: {verdict.reason}"
    print(f"invariants I1 I2 I4 I5 I6: {len(found)} findings" if found else "invariants I1 I2 I4 I5 I6 hold")
    print(f"audit log: {verdict.entries} rows, {chain}")
    print(f"unresolved: {len(open_ones)}")
    for row in open_ones[:SHOWN]:
        print(
            f"  project {row['project_id']}  {row['payment_id']}  {row['kind']} {row['operation_id']}  {row['stage']}"
        )
    return 1 if found or verdict.bad_seq is not None else 0


def reconcile(options: argparse.Namespace) -> int:
    """Exit code 0: the books agree but for what is listed as unresolved; 1: they differ."""
    theirs = _list(options)

    async def story(platform: Platform) -> int:
        if theirs is None:
            found = await compare.by_inquiry(platform, options.since, _progress)
        else:
            found = await compare.with_list(platform, theirs, options.since)
        return _told(found)

    return _with_platform(story)


def _told(found: list[Difference]) -> int:
    counts = Counter(difference.bucket for difference in found)
    rows = [(d.bucket, d.reference, d.order_number, d.text) for d in found[:SHOWN]]
    if rows:
        print(table(("bucket", "TID", "order number", "won with the merchant"), rows))
    print(", ".join(f"{bucket}: {counts[bucket]}" for bucket in Bucket))
    return 1 if set(counts) - {Bucket.UNRESOLVED} else 0


def _list(options: argparse.Namespace) -> dict[str, Theirs] | None:
    """The provider's own list, when one was named."""
    if options.simulator:
        return _by_reference(_simulator_books(options.simulator))
    if options.file:
        return _by_reference(_settlement_file(options.file))
    return None


def _by_reference(told: Iterable[Theirs]) -> dict[str, Theirs]:
    return {transaction.reference: transaction for transaction in told}


def _simulator_books(base_url: str) -> list[Theirs]:
    url = f"{base_url.rstrip('/')}/control/books"
    if not url.startswith(("http://", "https://")):
        raise Mistake(f"{base_url!r} is not an http URL")
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - the operator's own URL, http alone
            books = json.load(answer)["books"]
    except (OSError, ValueError, KeyError) as error:
        raise Mistake(f"{url}: {error}") from None
    return [
        Theirs(row["tid"], row["moid"], row["remain"] if row["approvals"] and not row["net_cancels"] else 0)
        for row in books
        if row["tid"]
    ]


def _settlement_file(path: Path) -> list[Theirs]:
    """CSV with the columns tid, moid, amount, cancelled; amounts in whole won."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return [
                Theirs(row["tid"], row.get("moid") or "", int(row["amount"]) - int(row.get("cancelled") or 0))
                for row in csv.DictReader(file)
            ]
    except (KeyError, ValueError) as error:
        raise Mistake(
            f"{path}: columns tid, moid, amount, cancelled are needed, amounts in whole won ({error})"
        ) from None


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty() or done == total:
        print(f"\rasked {done} of {total}", end="" if done < total else "\n", file=sys.stderr, flush=True)


def _with_platform(story: Callable[[Platform], Awaitable[int]]) -> int:
    async def run() -> int:
        async with opened(load()) as platform:
            return await story(platform)

    return asyncio.run(run())
