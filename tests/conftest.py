"""What every kind of test shares: coroutines run as tests, and the network is closed except loopback."""

import asyncio
import inspect
import socket
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# The same examples on every run, however slow the machine: a run decides whether a change may land.
settings.register_profile(
    "sure", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("sure")

pytest_plugins = ["tests.database", "tests.world"]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Tests that measure something say it with `record_property`: texts as they are, numbers added up by their name."""
    texts, numbers = [], Counter[str]()
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in (
                getattr(report, "user_properties", ()) if getattr(report, "when", "") == "teardown" else ()
            ):
                if isinstance(value, int):
                    numbers[name] += value
                else:
                    texts.append(f"{name}: {value}")
    for line in [*texts, *(f"{name}: {number:,}" for name, number in sorted(numbers.items()))]:
        terminalreporter.write_line(line)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs `async def` tests on an event loop of their own; fixtures stay synchronous functions."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.fixture(autouse=True, scope="session")
def _network_is_closed() -> Any:
    """A test that reaches for an address outside this machine fails at once, naming the address."""
    real_connect = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and not str(address[0]).startswith(("127.", "::1", "localhost")):
            raise AssertionError(f"a test tried to connect to {address[0]}")
        real_connect(self, address)

    socket.socket.connect = connect  # type: ignore[method-assign,assignment]
    yield
    socket.socket.connect = real_connect  # type: ignore[method-assign]
