"""`wongate rekey`: after a new master key, every stored secret is sealed anew with it."""

import argparse

from wongate.app import with_platform
from wongate.commands import progress, table
from wongate.flows.audit import OPERATOR
from wongate.flows.platform import Platform
from wongate.flows.rekey import Resealed, rekey, stale


def rekey_all(options: argparse.Namespace) -> int:
    """Exit code 0: the present key alone opens everything of use; 1: a server still seals with another one."""
    return with_platform(_rekey)


async def _rekey(platform: Platform) -> int:
    results = await rekey(platform, OPERATOR, progress("re-sealed"))
    print(
        table(
            ("secrets of", "re-sealed", "already fresh"),
            [(_place(result), f"{result.resealed:,}", f"{result.fresh:,}") for result in results],
        )
    )
    left = sum(result.left for result in results)
    if left:
        print(f"{left} of no use any more open with none of the keys and were left as they are")
    late = await stale(platform)
    if late:
        print(
            f"{late} were sealed with another key meanwhile: start every server and worker with the new key first in "
            "WONGATE_MASTER_KEY, then run this again"
        )
        return 1
    print(
        f"master key {platform.vault.current_key} opens all of them: the others may leave WONGATE_MASTER_KEY"
    )
    return 0


def _place(result: Resealed) -> str:
    return f"{result.where.table}.{result.where.column}"
