"""Which URLs and addresses merchants may make this server call: the rules against server-side request forgery (ASVS 1.3.6).

A URL is judged when it is saved and again before each call; the addresses behind its name are judged at connect time,
because names change their answers. Both raise `AddressRefused`, whose text a merchant may read: it names no address.
"""

import re
from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from yarl import URL

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Written out, because the meaning of `ipaddress.is_private` has changed between patch releases of Python.
# IPv4-mapped addresses (::ffff:0:0/96) are missing on purpose: they are unwrapped and judged as IPv4.
INTERNAL = {
    "0.0.0.0/8": "this network",
    "10.0.0.0/8": "private network",
    "100.64.0.0/10": "carrier-grade NAT",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link-local and cloud metadata",
    "172.16.0.0/12": "private network",
    "192.0.0.0/24": "protocol assignments",
    "192.0.2.0/24": "documentation",
    "192.88.99.0/24": "6to4 relays",
    "192.168.0.0/16": "private network",
    "198.18.0.0/15": "benchmarking",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved and broadcast",
    "::/96": "unspecified, loopback and IPv4-compatible",
    "64:ff9b::/96": "NAT64",
    "64:ff9b:1::/48": "NAT64",
    "100::/64": "discard",
    "2001::/32": "Teredo",
    "2001:db8::/32": "documentation",
    "2002::/16": "6to4",
    "3fff::/20": "documentation",
    "5f00::/16": "segment routing",
    "fc00::/7": "private network",
    "fe80::/10": "link-local",
    "fec0::/10": "site-local",
    "ff00::/8": "multicast",
}
_INTERNAL: tuple[tuple[Network, str], ...] = tuple((ip_network(text), use) for text, use in INTERNAL.items())

_URL_LENGTH_MAX = 2048  # the longest that proxies and browsers carry without loss; the Gate's own fields end at 255
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_][a-z0-9_-]{0,62})*")
# What getaddrinfo would read as an address in a legacy spelling: 127.1, 2130706433, 0x7f.1, 0177.0.0.1.
_ENDS_IN_NUMBER = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)")
_LOOPBACK = ip_address("127.0.0.1")


class AddressRefused(OSError):
    """The rules forbid this URL or what its name stands for. An OSError, so that a connector takes it for a failed connection."""


class Destinations:
    """The rules of one installation.

    `allow` names what merchants may reach although it is internal: networks ("10.1.0.0/16"), addresses ("127.0.0.1"), hosts
    ("shop.internal") and whole domains (".internal"). A host allowed by name may stand for any address; an allowed host,
    and `localhost` where loopback is allowed, may be called on any port. Raises ValueError for an entry it cannot read.
    """

    def __init__(
        self, *, allow: Iterable[str] = (), allow_http: bool = False, ports: Collection[int] = (80, 443)
    ) -> None:
        self._schemes = {"http", "https"} if allow_http else {"https"}
        self._ports = frozenset(ports)
        self._networks: list[Network] = []
        self._names: set[str] = set()
        self._domains: list[str] = []
        for entry in allow:
            self._add(entry.strip().lower())

    def _add(self, entry: str) -> None:
        try:
            self._networks.append(ip_network(entry))
        except ValueError:
            if not _NAME.fullmatch(entry.removeprefix(".")) or _ENDS_IN_NUMBER.fullmatch(entry):
                raise ValueError(f"{entry!r} is not a network, an address, a host or a .domain to allow") from None
            if entry.startswith("."):
                self._domains.append(entry)
            else:
                self._names.add(entry)

    def read(self, text: str) -> URL:
        """The URL as it will be called: host in lower-case ASCII without a trailing dot. Looks no name up.

        Raises AddressRefused for what no answer of the name service could make right.
        """
        url = _parse(text)
        if url.scheme not in self._schemes:
            raise AddressRefused("the URL must begin with https://" if "http" not in self._schemes else "the URL must begin with http:// or https://")
        return url

    def check(self, host: str, addresses: Iterable[str]) -> None:
        """Raises AddressRefused when `host` may not stand for one of `addresses`: a single internal one spoils all."""
