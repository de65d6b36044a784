"""A database server whose cable is pulled: `python -m tests.failover.silence`, as root, prints the seconds until the next write.

One server lives in a network namespace of its own, the other beside us. Writes go to the first; then the far end of its cable
goes down, so that nothing is refused and nothing answered, and the second server begins to take writes. A program of its own,
because tests themselves may reach loopback addresses only.
"""

import asyncio
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvloop
from tests.story.sandbox import three_free_ports

from wongate.connections import embedded
from wongate.connections.database import Database, Unavailable, connect
from wongate.connections.processes import end_session, spawn

SPACE, HERE, THERE = "wongate-silence", "wgsilence0", "wgsilence1"
IN_SPACE = ("ip", "netns", "exec", SPACE)
FAR, NEAR = ("10.99.7.2", 5432), ("127.0.0.1", three_free_ports())
SUCCESSOR_AFTER_S = 6.0
GIVE_UP_S = 150.0


@contextmanager
def cable() -> Iterator[None]:
    """A network namespace that is reached at FAR."""
    try:
        for command in (
            f"ip netns add {SPACE}",
            f"ip link add {HERE} type veth peer name {THERE} netns {SPACE}",
            f"ip addr add 10.99.7.1/24 dev {HERE}",
            f"ip link set {HERE} up",
            f"ip netns exec {SPACE} ip addr add {FAR[0]}/24 dev {THERE}",
            f"ip netns exec {SPACE} ip link set {THERE} up",
        ):
            subprocess.run(command.split(), check=True)
        yield
    finally:
        for command in (f"ip link del {HERE}", f"ip netns del {SPACE}"):
            subprocess.run(command.split(), check=False)


@contextmanager
def server(directory: Path, place: tuple[str, int], prefix: tuple[str, ...] = ()) -> Iterator[str]:
    """A PostgreSQL over TCP; its URL. PostgreSQL refuses root, so it runs as another number."""
    binaries, as_another = embedded.find_binaries(), ("unshare", "--user", "--map-user=1")
    made = [
        *as_another,
        str(binaries / "initdb"),
        "-D",
        str(directory),
        "-U",
        "wongate",
        "--auth=trust",
        "--no-sync",
    ]
    subprocess.run(made, check=True, capture_output=True)
    (directory / "pg_hba.conf").write_text("host all all 0.0.0.0/0 trust\n")
    host, port = place
    options = {"listen_addresses": host, "port": str(port), "unix_socket_directories": "", "fsync": "off"}
    argv = [*prefix, *as_another, str(binaries / "postgres"), "-D", str(directory)]
    argv += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    process = spawn(argv, output=subprocess.DEVNULL)
    try:
        yield f"postgresql://wongate@{host}:{port}/postgres"
    finally:
        end_session(process)


async def takes_writes(url: str, yes: bool) -> None:
    connection = await connect(url)
    await connection.execute("SET default_transaction_read_only = off")
    await connection.execute("CREATE TABLE IF NOT EXISTS written (n int)")
    await connection.execute(
        f"ALTER ROLE wongate SET default_transaction_read_only = {'off' if yes else 'on'}"
    )
    await connection.close()


async def seconds_without_a_write(first: str, second: str) -> float:
    await takes_writes(first, True)
    await takes_writes(second, False)
    hosts = f"{FAR[0]}:{FAR[1]},{NEAR[0]}:{NEAR[1]}"
    database = await Database.connect(
        f"postgresql://wongate@{hosts}/postgres?target_session_attrs=read-write", size=4
    )
    written: list[float] = []

    async def write() -> None:
        while True:
            with suppress(Unavailable):
                await database.run(lambda tx: tx.execute("INSERT INTO written VALUES (1)"))
                written.append(time.monotonic())
            await asyncio.sleep(0.05)

    writers = [asyncio.create_task(write()) for _ in range(4)]
    await asyncio.sleep(2)
    cut = time.monotonic()
    await asyncio.to_thread(subprocess.run, [*IN_SPACE, "ip", "link", "set", THERE, "down"], check=True)
    await asyncio.sleep(SUCCESSOR_AFTER_S)
    before = len(written)
    await takes_writes(second, True)
    async with asyncio.timeout(GIVE_UP_S):
        while len(written) == before:  # noqa: ASYNC110 - a figure to a tenth of a second
            await asyncio.sleep(0.1)
    for writer in writers:
        writer.cancel()
    return written[before] - cut


async def until_answers(url: str) -> None:
    async with asyncio.timeout(60):
        while True:
            with suppress(Unavailable):
                await (await connect(url)).close()
                return
            await asyncio.sleep(0.2)


async def run(first: str, second: str) -> float:
    await until_answers(first)
    await until_answers(second)
    return await seconds_without_a_write(first, second)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="wongate-silence-") as name, cable():
        directory = Path(name)
        with server(directory / "far", FAR, IN_SPACE) as first, server(directory / "near", NEAR) as second:
            print(f"{uvloop.run(run(first, second)):.1f}")


if __name__ == "__main__":
    main()
