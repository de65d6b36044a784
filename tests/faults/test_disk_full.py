"""A data directory without room (F18): refused with 503, nothing acknowledged is lost, and it goes on when there is room."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.world import OpenWorld, Sale, World

from wongate.connections import embedded
from wongate.store.migrate import migrate

SALE = "/v2/payment/wallet/payco/sale"
SMALL_LOG = {"max_wal_size": "48MB", "min_wal_size": "32MB"}
REQUESTS_MAX = 1000
"""Of some 100 kB each: more than the log keeps in reserve."""


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """160 MB of memory as a file system; PostgreSQL's own files take some 60 of them."""
    with tempfile.TemporaryDirectory(prefix="wongate-small-") as name:
        command = ["mount", "-t", "tmpfs", "-o", "size=160m,mode=0755", "tmpfs", name]
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            pytest.skip("mounting a small file system needs root with the right to mount")
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", "-l", name], check=False)


async def test_a_full_disk_refuses_with_503_and_loses_nothing(open_world: OpenWorld, small_disk: Path):
    with embedded.start(small_disk / "database", settings=SMALL_LOG) as server:
        await migrate(server.url)
        async with open_world(url=server.url) as world:
            accepted = [await world.sale() for _ in range(5)]
            with (small_disk / "ballast").open("wb") as ballast:
                fill(ballast.fileno())
                accepted += await sell_until_refused(world)
                assert (await world.post(SALE, world.sale_body())).status in (
                    200,
                    503,
                )  # never anything worse
            (small_disk / "ballast").unlink()
            if (
                server.ending() is not None
            ):  # without room for its log PostgreSQL gives up; a supervisor starts it again
                server.start()
            await world.paid_sale()
            for sale in accepted:  # the same request again is answered with the stored answer: it was kept
                assert sale.accepted == (await world.post(SALE, sale.body)).body


def fill(descriptor: int) -> None:
    block = b"\0" * 65536
    try:
        while True:
            os.write(descriptor, block)
    except OSError:
        return


async def sell_until_refused(world: World) -> list[Sale]:
    """Sales of a size that fills a disk, until one is refused; what was accepted before."""
    accepted: list[Sale] = []
    for _ in range(REQUESTS_MAX):
        body = world.sale_body(addendum={"text": os.urandom(50_000).hex()})
        answer = await world.post(SALE, body)
        if answer.status != 200:
            assert (503, "application/json; charset=utf-8") == (answer.status, answer.headers["content-type"])
            return accepted
        accepted.append(Sale(world, body, answer.body))
    raise AssertionError("the disk is full, and nobody has noticed")
