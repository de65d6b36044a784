"""A new secret: requests under the old one are accepted while the overlap lasts, callbacks carry the new one at once."""

from datetime import timedelta

from tests.world import PROJECT_ID, SECRET, VAULT, OpenWorld, World

from wongate.domain.signature import verify
from wongate.store import projects

NEW = "another secret"
OVERLAP = timedelta(hours=1)


async def rotate(world: World) -> None:
    sealed = VAULT.seal(NEW, place=f"project/{PROJECT_ID}/secret")
    now = world.clock.now()
    async with world.platform.database.transaction() as tx:
        await projects.rotate_secret(tx, PROJECT_ID, sealed, now + OVERLAP, now)
    world.platform._projects.clear()


async def test_both_secrets_verify_requests_until_the_overlap_ends(open_world: OpenWorld):
    async with open_world() as world:
        path = "/v2/payment/wallet/payco/sale"
        await rotate(world)
        for secret in (SECRET, NEW):
            assert 200 == (await world.post(path, world.sale_body(), secret=secret)).status
        world.clock.advance(OVERLAP.total_seconds())
        world.platform._projects.clear()
        answers = [await world.post(path, world.sale_body(), secret=secret) for secret in (SECRET, NEW)]
        assert [(400, "3261"), (200, None)] == [(a.status, a.body.get("code")) for a in answers]


async def test_new_callbacks_carry_the_new_secret_and_old_ones_never_change(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.sale()
        before = (await sale.callbacks())[0]
        await rotate(world)
        await sale.pay()
        old, new = await sale.callbacks()
        assert before == old
        assert verify(old, old["signature"], [SECRET])
        assert verify(new, new["signature"], [NEW])


async def test_an_empty_secret_opens_nothing(open_world: OpenWorld):
    async with open_world() as world:
        answer = await world.post("/v2/payment/wallet/payco/sale", world.sale_body(), secret="")
        assert (400, "3261") == (answer.status, answer.body["code"])
