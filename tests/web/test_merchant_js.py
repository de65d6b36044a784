"""The files that merchants and our pages load: names, hashes, caching, weight."""

import base64
import hashlib
import re
import tomllib
from pathlib import Path

import pytest
from tests.world import OpenWorld, ask

from wongate.web.shared_files import FOLDER, FOR_MERCHANTS, RELEASED, shared_files

FILES = ["merchant.js", "merchant.css", "checkout.js", "checkout.css", "bridge.js"]


@pytest.mark.parametrize("name", FILES)
async def test_a_file_has_a_stable_name_and_one_that_never_changes(open_world: OpenWorld, name: str):
    async with open_world() as world:
        file = shared_files()[name]
        stable = await ask(world.app, "GET", f"/shared/{name}")
        pinned = await ask(world.app, "GET", file.url)
        assert (FOLDER / name).read_bytes() == stable.raw == pinned.raw
        assert "public, max-age=300" == stable.headers["cache-control"]
        assert "public, max-age=31536000, immutable" == pinned.headers["cache-control"]
        kind = "text/javascript" if name.endswith("js") else "text/css"
        assert f"{kind}; charset=utf-8" == stable.headers["content-type"]


async def test_the_published_hash_is_the_files(open_world: OpenWorld):
    async with open_world() as world:
        listed = (await ask(world.app, "GET", "/shared/merchant.json", b"", {"host": "pay.example"})).body
        assert ["merchant.js", "merchant.css"] == list(listed)
        for name, entry in listed.items():
            path = entry["url"].removeprefix("http://pay.example")
            answer = await ask(world.app, "GET", path)
            digest = base64.b64encode(hashlib.sha384(answer.raw).digest()).decode()
            assert f"sha384-{digest}" == entry["integrity"], name


@pytest.mark.parametrize("path", sorted(RELEASED.iterdir()), ids=lambda path: path.name)
async def test_a_released_file_never_changes_and_is_served_for_ever(open_world: OpenWorld, path: Path):
    """Shops that pinned it with its hash go on working after any upgrade."""
    digest = hashlib.sha384(path.read_bytes()).hexdigest()
    assert path.name == f"merchant-{digest[:12]}{path.suffix}"
    async with open_world() as world:
        answer = await ask(world.app, "GET", f"/shared/{path.name}")
        assert (200, path.read_bytes()) == (answer.status, answer.raw)
        assert "public, max-age=31536000, immutable" == answer.headers["cache-control"]


def test_a_release_keeps_its_files() -> None:
    """`## [0.1.0]` in the changelog says that the version of this tree is out: its files must be among those that stay."""
    root = Path(__file__).parents[2]
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    if f"## [{version}]" in (root / "CHANGELOG.md").read_text():
        assert {shared_files()[name].pinned for name in FOR_MERCHANTS} <= {
            path.name for path in RELEASED.iterdir()
        }


async def test_an_earlier_release_does_not_take_the_place_of_this_one(open_world: OpenWorld):
    async with open_world() as world:
        for name in FOR_MERCHANTS:
            answer = await ask(world.app, "GET", f"/shared/{name}")
            assert (FOLDER / name).read_bytes() == answer.raw


async def test_merchants_of_every_origin_may_load_and_check_the_files(open_world: OpenWorld):
    async with open_world() as world:
        headers = (await ask(world.app, "GET", "/shared/merchant.js")).headers
        expected = {
            "access-control-allow-origin": "*",
            "cross-origin-resource-policy": "cross-origin",
            "x-content-type-options": "nosniff",
        }
        assert expected.items() <= headers.items()


async def test_an_unchanged_file_is_not_sent_again(open_world: OpenWorld):
    async with open_world() as world:
        first = await ask(world.app, "GET", "/shared/merchant.js")
        again = await ask(
            world.app, "GET", "/shared/merchant.js", b"", {"if-none-match": first.headers["etag"]}
        )
        assert (304, b"") == (again.status, again.raw)


@pytest.mark.parametrize(
    "name", ["merchant-000000000000.js", "pages.py", "..%2fpages.py", "merchant.js.map", ""]
)
async def test_other_names_lead_nowhere(open_world: OpenWorld, name: str):
    async with open_world() as world:
        assert 404 == (await ask(world.app, "GET", f"/shared/{name}")).status


def test_merchant_js_stays_small() -> None:
    assert 1_000 < len(shared_files()["merchant.js"].body) <= 16 * 1024


@pytest.mark.parametrize("name", FILES)
def test_no_file_fetches_anything_from_elsewhere(name: str) -> None:
    """The one address in them is NICEPAY's, which arrives as an attribute of the bridge page."""
    text = (FOLDER / name).read_text()
    assert [] == re.findall(r"https?://[\w.-]+|@import|url\(", text)
