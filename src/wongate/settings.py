"""One frozen object, read once from the environment. `.env.example` documents every variable."""

import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from wongate.connections.addresses import Destinations
from wongate.connections.mail import mailer_of
from wongate.connections.vault import Vault, VaultError
from wongate.providers.nicepay.codes import DEFAULT, CodeTable


class SettingsError(Exception):
    """A variable is missing or unreadable; the text says which and what to do."""


@dataclass(frozen=True, slots=True)
class Settings:
    database_url: str = field(repr=False)
    master_key: str = field(repr=False)
    database_read_url: str = field(default="", repr=False)  # holds a password
    page_url: str = "http://127.0.0.1:8080"
    host: str = "127.0.0.1"
    port: int = 8080
    processes: int = 1
    pool_size: int = 8
    callback_timeout_s: float = 15.0
    callback_allow: tuple[str, ...] = ()
    callback_http: bool = False
    data_push: bool = True
    mail_url: str = field(default="", repr=False)  # may hold a password
    mail_from: str = "wongate@localhost"
    trusted_proxies: tuple[str, ...] = ()
    clock_file: Path | None = None
    keep_exchanges_days: int = 1830
    keep_callbacks_days: int = 1830
    keep_attempts_days: int = 1830
    response_codes: CodeTable = field(default=DEFAULT, repr=False)
    log_level: str = "INFO"


KEEP_DAYS_MIN = 40
"""Callbacks are tried for ten days, and a month is dropped as a whole."""


def _switch(text: str) -> bool:
    return {"1": True, "true": True, "0": False, "false": False, "": False}[text.lower()]


def _keep_days(text: str) -> int:
    days = int(text)
    if days < KEEP_DAYS_MIN:
        raise ValueError(days)
    return days


def _master_key(text: str) -> str:
    if text:
        Vault.from_text(text)
    return text


def _page_url(text: str) -> str:
    parts = urlsplit(text)
    odd = not text.isprintable() or any(sign in text for sign in ' \\"<>@?#')
    if odd or parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError(text)
    return text


def _mail_url(text: str) -> str:
    if text:
        mailer_of(text)
    return text


def _several(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _destinations(text: str) -> tuple[str, ...]:
    Destinations(allow=_several(text))
    return _several(text)


def _networks(text: str) -> tuple[str, ...]:
    for network in _several(text):
        ip_network(network, strict=False)
    return _several(text)


def _log_level(text: str) -> str:
    return logging.getLevelName(logging.getLevelNamesMapping()[text.upper()])


def _response_codes(text: str) -> CodeTable:
    changes = json.loads(text or "{}")
    parts = list(changes.values()) if isinstance(changes, dict) else [changes]
    if not all(isinstance(part, dict) and all(type(code) is int for code in part.values()) for part in parts):
        raise ValueError('an object such as {"sale": {"3095": 20105}} is needed')
    return DEFAULT.overridden(changes)


_KINDS: dict[str, Callable[[str], Any]] = {
    "port": int,
    "processes": int,
    "pool_size": int,
    "callback_timeout_s": float,
    "master_key": _master_key,
    "page_url": _page_url,
    "mail_url": _mail_url,
    "callback_allow": _destinations,
    "trusted_proxies": _networks,
    "log_level": _log_level,
    "callback_http": _switch,
    "data_push": _switch,
    "keep_exchanges_days": _keep_days,
    "keep_callbacks_days": _keep_days,
    "keep_attempts_days": _keep_days,
    "response_codes": _response_codes,
    "clock_file": lambda text: Path(text) if text else None,
}

_NUMBER, _SWITCH = "a whole number is needed", "1 or 0 is needed"
_DAYS = f"{KEEP_DAYS_MIN} or more are needed"

_NEEDED: Mapping[str, str] = {
    "master_key": "32 random bytes in base64 are needed, as `openssl rand -base64 32` makes them, or several with commas between",
    "page_url": "an address such as https://pay.example is needed",
    "mail_url": "smtp://user:password@host:587, smtps://user:password@host:465 or file:/folder is needed",
    "callback_allow": "networks, addresses, hosts or .domains are needed, such as 10.1.0.0/16,shop.internal",
    "trusted_proxies": "addresses or networks are needed, such as 127.0.0.1,10.0.0.0/8",
    "log_level": "DEBUG, INFO, WARNING or ERROR is needed",
    "port": _NUMBER,
    "processes": _NUMBER,
    "pool_size": _NUMBER,
    "callback_timeout_s": "a number of seconds is needed",
    "callback_http": _SWITCH,
    "data_push": _SWITCH,
    "keep_exchanges_days": _DAYS,
    "keep_callbacks_days": _DAYS,
    "keep_attempts_days": _DAYS,
}

_SECRETS = frozenset({"master_key", "mail_url"})
"""Not repeated where they cannot be read: what is misspelled is a secret all the same."""


def load(environment: Mapping[str, str] = os.environ) -> Settings:
    """Reads `WONGATE_*`; a `WONGATE_<NAME>_FILE` is read in place of `WONGATE_<NAME>`. Raises SettingsError."""
    values: dict[str, Any] = {}
    for name in Settings.__slots__:
        variable = f"WONGATE_{name.upper()}"
        text = _from_file(environment, variable) or environment.get(variable)
        if text is None:
            continue
        try:
            values[name] = _KINDS.get(name, str)(text.strip())
        except (ValueError, KeyError, VaultError) as error:
            read = "" if name in _SECRETS else f": {text!r}"
            raise SettingsError(f"{variable} cannot be read{read} ({_NEEDED.get(name, error)})") from None
    for name, what in (("database_url", "a postgresql:// URL"), ("master_key", "32 random bytes in base64")):
        if not values.get(name):
            raise SettingsError(
                f"WONGATE_{name.upper()} is missing: {what} (see .env.example, or start `wongate sandbox`)"
            )
    return Settings(**values)


def _from_file(environment: Mapping[str, str], variable: str) -> str | None:
    path = environment.get(f"{variable}_FILE")
    if not path:
        return None
    try:
        return Path(path).read_text()
    except OSError as error:
        raise SettingsError(f"{variable}_FILE: {error}") from None
