"""The books: what moved, quickly listed, and there after every kind of end."""

import json
import sqlite3
from pathlib import Path

from tests.simulator.shopkeeper import MID, simulator


async def test_the_books_count_what_moved(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        await keeper.pay("cancel", Moid="a")
        await keeper.paid(Moid="b")
        await keeper.net_cancel(await keeper.paid(Moid="c"))
        books = (await keeper.control("GET", "books")).json()["books"]

        assert [
            ("a", 0, 0, 0, 0, "refused"),
            ("b", 1, 0, 0, 1000, "approved"),
            ("c", 1, 1, 1000, 0, "cancelled"),
        ] == [
            tuple(
                entry[name] for name in ("moid", "approvals", "net_cancels", "cancelled", "remain", "state")
            )
            for entry in books
        ]
        assert [] == (await keeper.control("GET", "books?moid=unknown")).json()["books"]


async def test_a_hundred_thousand_payments_are_listed_while_the_simulator_goes_on(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        with sqlite3.connect(tmp_path / "simulator.sqlite") as books:
            books.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) INSERT INTO payment"
                " SELECT NULL, ?, 'm' || i, 1000, 'token' || i, 'approved', '', 'tid' || i, 'card', '1', '00', '12345678',"
                " 1e9, 1e9, 1e9, 1e9, 1, 0, 0, '{}' FROM n",
                (MID,),
            )
        books.close()
        async with keeper.http.get(f"{keeper.url}/control/books") as listing:
            begun = await listing.content.readany()
            entry = await keeper.book(
                "m77777"
            )  # 40 MB are more than connections hold: the list waits for its reader
            listed = json.loads(begun + await listing.read())

        assert "tid77777" == entry["tid"]
        assert 100_000 == len(listed["books"])


async def test_the_books_outlive_the_program(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        authenticated = (await keeper.pay(Moid="a"))["result"]
        approved = await keeper.paid(Moid="b")
        await keeper.cancel(approved["TxTid"], 400, partial=True, Moid="bR1")
        before = (await keeper.control("GET", "books")).json()
    async with simulator(tmp_path) as keeper:
        after = (await keeper.control("GET", "books")).json()
        duplicate = await keeper.post("/v3/v3Payment.jsp", keeper.window_body(Moid="a"))

        assert before == after
        assert "<code>W005</code>" in duplicate.text()
        assert "3001" == (await keeper.approve(authenticated))["ResultCode"]
        assert "2032" == (await keeper.cancel(approved["TxTid"], 601, partial=True))["ResultCode"]
        assert "2001" == (await keeper.cancel(approved["TxTid"], 600))["ResultCode"]


async def test_an_answered_approval_is_in_the_file_already(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        result = await keeper.paid(Moid="m1")
        await keeper.cancel(result["TxTid"], 400, partial=True)
        reader = sqlite3.connect(tmp_path / "simulator.sqlite")
        row = reader.execute("SELECT approvals, cancelled FROM payment WHERE moid = 'm1'").fetchone()
        reader.close()

        assert (1, 400) == row


async def test_tids_are_unique_also_within_one_second(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        tids = {(await keeper.pay())["result"]["TxTid"] for _ in range(60)}

        assert 60 == len(tids)
