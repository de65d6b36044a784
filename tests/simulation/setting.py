"""Where a world begins: its time, its key, the shop's project and its account at the provider."""

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.simulation.merchant import CALLBACK_URL, COPY_URL, PROJECT_ID, SECRET
from tests.simulation.network import NOTICE_IP
from tests.simulation.provider import HOST, KEY, MID

from wongate.connections.vault import Vault
from wongate.providers.nicepay.accounts import account_settings_for_simulator
from wongate.store import projects

if TYPE_CHECKING:
    from tests.simulation.world import World

VAULT = Vault.from_text(base64.b64encode(b"k" * 32).decode())
EPOCH = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)


def prepare(world: "World") -> None:
    """Writes the account and the project into the empty database."""
    settings: dict[str, Any] = {"callback_url": CALLBACK_URL, **world.plan.settings}
    if world.swarm.has("shop: two urls"):
        settings["callback_rules"] = [{"url": CALLBACK_URL}, {"url": COPY_URL}]
    if world.swarm.has("shop: short limit"):
        settings["limit_time_s"] = 90
    if world.swarm.has("shop: try again"):
        settings["try_again"] = True
    account = {**account_settings_for_simulator(HOST), "notice_ips": [NOTICE_IP]}
    now = EPOCH

    async def prepare() -> None:
        raw = world.postgres.plain()
        await projects.save_account(
            raw,
            account_id=1,
            provider="nicepay",
            merchant_id=MID,
            sealed_key=VAULT.seal(KEY, place="account/1/key"),
            settings=account,
            now=now,
        )
        sealed = VAULT.seal(SECRET, place=f"project/{PROJECT_ID}/secret")
        made = {"project_id": PROJECT_ID, "name": "Shop", "sealed_secret": sealed, "account_id": 1}
        await projects.create(raw, **made, settings=settings, now=now)  # type: ignore[arg-type]
        await projects.save_settings(raw, PROJECT_ID, settings, now)

    world.postgres.wait(prepare())
