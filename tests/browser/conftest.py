"""Browser tests run as coroutines on the stage's event loop, where browser and servers live."""

import inspect
from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tests.browser.stage")

from tests.browser.stage import Stage  # noqa: E402
from tests.database import fresh_copy  # noqa: E402
from tests.world import Simulator  # noqa: E402

from wongate.connections.embedded import Server  # noqa: E402


@pytest.fixture(scope="session")
def stage(database_server: Server, migrated_template: str, simulator: Simulator) -> Iterator[Stage]:
    with fresh_copy(database_server, migrated_template) as url:
        stage = Stage(simulator, url)
        stage.start()
        try:
            yield stage
        finally:
            stage.stop()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj) or "stage" not in pyfuncitem.fixturenames:
        return None
    names = pyfuncitem._fixtureinfo.argnames
    stage = pyfuncitem.funcargs["stage"]
    assert isinstance(stage, Stage)
    stage.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser" in item.nodeid:
            item.add_marker(pytest.mark.browser)
