"""Somebody who has signed in to the Dashboard, and whose every page is timed."""

import gzip
import http.client
import re
import time
from dataclasses import dataclass, field
from urllib.parse import urlencode

from bench.client import Pool
from bench.rig import Rig
from wongate.domain import one_time
from wongate.sandbox_login import Login

_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}


@dataclass(slots=True)
class Browser:
    """One connection that is kept, one page at a time."""

    address: tuple[str, int]
    cookie: str
    _pool: Pool = field(init=False)

    def __post_init__(self) -> None:
        self._pool = Pool(self.address)

    async def get(self, path: str) -> tuple[int, str, float]:
        """Status, page, and milliseconds until it was there."""
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: gzip\r\nCookie: {self.cookie}\r\n\r\n"
        sent = time.perf_counter()
        status, body = await self._pool.send(request.encode())
        took_ms = (time.perf_counter() - sent) * 1000
        return status, (gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body).decode(), took_ms

    def close(self) -> None:
        self._pool.close()


def sign_in(built: Rig, login: Login) -> Browser:
    """Password and second factor, as a person gives them."""
    wire = http.client.HTTPConnection(*built.gate)
    cookie, _ = _post(wire, "/dashboard/sign-in", {"login": login.user, "password": login.password}, "")
    wire.request("GET", "/dashboard/second-factor", headers={"Cookie": cookie})
    found = re.search(r'name="csrf" value="([^"]+)"', wire.getresponse().read().decode())
    assert found, "there is no form for the second factor"
    code = one_time.code_of(login.totp_secret, int(time.time()) // one_time.STEP_S)
    fields = {"csrf": found[1], "code": code}
    newer, place = _post(wire, "/dashboard/second-factor", fields, cookie)
    wire.close()
    assert "second-factor" not in place, "the second factor was not taken"
    return Browser(built.gate, newer or cookie)


def _post(
    wire: http.client.HTTPConnection, path: str, fields: dict[str, str], cookie: str
) -> tuple[str, str]:
    """The cookie that the answer sets, and where it leads."""
    wire.request("POST", path, urlencode(fields), {**_FORM, "Cookie": cookie})
    answer = wire.getresponse()
    answer.read()
    return (answer.getheader("Set-Cookie") or "").partition(";")[0], answer.getheader("Location") or ""
