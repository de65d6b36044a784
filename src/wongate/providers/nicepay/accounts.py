"""The settings of an account at NICEPAY, kept in `Account.settings` as plain JSON. Those left out have
NICEPAY's values.

* `window_url`: the payment window; where the bridge page posts on to when there is a bridge (N-1)
* `bridge`: true = payers are sent to a bridge page of our own first, as NICEPAY itself needs it (N-1)
* `api_hosts`: where approvals and net cancels may go (N-7): host names, meaning https on its default port,
or whole
  base URLs. By default the current hosts (dc1-api, dc2-api) and the older ones (pg-api, webapi)
* `cancel_url`, `inquiry_url`: where cancels and inquiries go (N-23)
* `simulator`: true = a simulated NICEPAY, whose URLs may be http
* `moid_prefix`: letters and digits in front of our order numbers; two installations on one MID differ here (N-24)
* `original_moid_on_cancel`: true = cancels carry the sale's order number instead of their own (N-24)
* `tax`: true = fully taxable: the VAT in the amount is stated on payments and cancels (N-25)
* `accept_unsigned_cancels`: true = a successful cancel without any Signature is believed (N-9)
* `notice_ips`: addresses that may send notices; none = notices are off (N-16)
* `connect_s`, `read_s`: time limits of a call in seconds (N-22)
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from wongate.domain.account import Account

APPROVAL_PATH = "/webapi/pay_process.jsp"
CANCEL_PATH = "/webapi/cancel_process.jsp"
INQUIRY_PATH = "/webapi/inquery/trans_status.jsp"  # spelled like this by NICEPAY
WINDOW_PATH = "/v3/v3Payment.jsp"

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_PREFIX = re.compile(r"[A-Za-z0-9]{0,20}")


@dataclass(frozen=True, slots=True)
class Settings:
    """An account's settings with NICEPAY's own values as defaults."""

    window_url: str = "https://web.nicepay.co.kr" + WINDOW_PATH
    bridge: bool = True
    api_hosts: tuple[str, ...] = (
        "dc1-api.nicepay.co.kr",
        "dc2-api.nicepay.co.kr",
        "pg-api.nicepay.co.kr",
        "webapi.nicepay.co.kr",
    )
    cancel_url: str = "https://pg-api.nicepay.co.kr" + CANCEL_PATH
    inquiry_url: str = "https://webapi.nicepay.co.kr" + INQUIRY_PATH
    simulator: bool = False
    moid_prefix: str = ""
    original_moid_on_cancel: bool = False
    tax: bool = False
    accept_unsigned_cancels: bool = False
    notice_ips: tuple[str, ...] = ()
    connect_s: float = 5
    read_s: float = 30

    def allows(self, url: str, path: str) -> bool:
        """Whether a URL from outside is listed, letter by letter: no port, query or user slips in (N-7)."""
        listed = any(url == f"{_base(host)}{path}" for host in self.api_hosts)
        return listed and (self.simulator or url.startswith("https://"))


_KINDS = {field.name: type(field.default) for field in fields(Settings)}


_READ: dict[int, tuple[Mapping[str, Any], Settings]] = {}


def settings_of(account: Account) -> Settings:
    """The settings that apply to an account; members of other names are left alone.

    Read once for each mapping that an account brings: three calls a payment would cost as much as a
    signature.
    """
    read = _READ.get(account.account_id)
    if read is None or read[0] is not account.settings:
        read = _READ[account.account_id] = (account.settings, _read(account.settings))
    return read[1]


def _read(settings: Mapping[str, Any]) -> Settings:
    known: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in settings.items()
        if name in _KINDS
    }
    return Settings(**known)


def account_settings_for_simulator(base_url: str) -> dict[str, Any]:
    """Settings for a simulated NICEPAY at `base_url`, the only host they allow."""
    base = base_url.rstrip("/")
    return {
        "simulator": True,
        "window_url": base + WINDOW_PATH,
        "bridge": False,
        "api_hosts": [base],
        "cancel_url": base + CANCEL_PATH,
        "inquiry_url": base + INQUIRY_PATH,
    }


def account_settings_for_nicepay() -> dict[str, Any]:
    """Settings for the real NICEPAY, written out so that they can be read and changed."""
    values = asdict(Settings())
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def problems(settings: Mapping[str, Any]) -> list[str]:
    """What is wrong with settings that an operator typed, one sentence each."""
    found = [f"unknown setting {name!r}" for name in settings if name not in _KINDS]
    mistyped = [name for name, value in settings.items() if name in _KINDS and not _fits(value, _KINDS[name])]
    found += [f"{name} must be {_WORDS[_KINDS[name]]}" for name in mistyped]
    return found or _value_problems(settings)


_WORDS = {str: "text", bool: "true or false", tuple: "a list of texts", int: "a number of seconds above 0"}


def _fits(value: object, kind: type) -> bool:
    if kind is tuple:
        return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
    if kind is int:
        return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    return type(value) is kind


def _value_problems(settings: Mapping[str, Any]) -> list[str]:
    found = []
    simulator = settings.get("simulator", False)
    urls = [settings[name] for name in ("window_url", "cancel_url", "inquiry_url") if name in settings]
    bases = [_base(host) for host in settings.get("api_hosts", ())]
    found += [f"{url!r} is not a usable URL" for url in urls + bases if not _is_usable(url)]
    if not simulator:
        found += [f"{url!r} must be https" for url in urls + bases if not url.startswith("https://")]
    if not _PREFIX.fullmatch(settings.get("moid_prefix", "")):
        found.append("moid_prefix must be at most 20 ASCII letters and digits")
    return found + [f"{ip!r} is not an IP address" for ip in settings.get("notice_ips", ()) if not _is_ip(ip)]


def _base(host: str) -> str:
    return host.rstrip("/") if "://" in host else f"https://{host}"


def _is_usable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https")
            and bool(_HOST.fullmatch(parts.hostname or ""))
            and parts.username is None
            and not parts.query
            and not parts.fragment
            and (parts.port is None or parts.port > 0)
        )
    except ValueError:
        return False


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
