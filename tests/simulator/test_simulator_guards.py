"""Who may speak to the simulator, and what every answer says."""

from pathlib import Path

from tests.simulator.shopkeeper import serving, simulator

from wongate_simulator.app import create_app


async def test_only_this_machines_names_are_answered_unless_exposed(tmp_path: Path) -> None:
    async with simulator(tmp_path / "a") as keeper:
        foreign = await keeper.get("/control/books", Host="attacker.test")
        port = keeper.url.rpartition(":")[2]
        local = await keeper.get("/control/books", Host=f"localhost:{port}")

        other = await keeper.get("/control/books", Host="127.0.0.2")
        ipv6 = await keeper.get("/control/books", Host=f"[::1]:{port}")

        assert (403, 200, 200, 200) == (foreign.status, local.status, other.status, ipv6.status)
    async with serving(create_app(tmp_path / "b", exposed=True)) as url, simulator(tmp_path / "c") as keeper:
        keeper.url = url
        assert 200 == (await keeper.get("/control/books", Host="simulator.test")).status


async def test_a_page_of_another_origin_cannot_steer(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        foreign = await keeper.post("/control/reset", b"", Origin="https://attacker.test")
        own = await keeper.post("/control/reset", b"", Origin=keeper.url)
        shop = await keeper.post("/v3/v3Payment.jsp", keeper.window_body(), Origin="https://shop.test")

        assert (403, 200, 303) == (foreign.status, own.status, shop.status)


async def test_every_answer_says_that_it_is_a_simulator(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        for path in ("/", "/healthz", "/control/books", "/nowhere", "/static/simulator.css"):
            assert "no money moves" in (await keeper.get(path)).headers["x-simulator"]
