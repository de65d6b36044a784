"""Which URLs merchants may make this server call: the rules against server-side request forgery (ASVS 1.3.6).

A URL is judged when it is saved and again before each call. The addresses behind its name are judged at
connect time, because names change their answers. Both raise `AddressRefused`, whose text a merchant may read:
it names no address.
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

_LENGTH_MAX = 2048  # characters of a URL that proxies carry without loss; the Gate's own fields end at 255
_UNFIT = re.compile(r"[\x00-\x20\x7f\\]")  # no two parsers agree on a URL that contains one of these
_LABEL = "[a-z0-9_][a-z0-9_-]{0,62}"  # with the underscore, which container networks use in names
_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")
# What getaddrinfo would read as an address in a legacy spelling: 127.1, 2130706433, 0x7f.1, 0177.0.0.1.
_ENDS_IN_NUMBER = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)")
_LOOPBACK = IPv4Address("127.0.0.1")


class AddressRefused(OSError):
    """The rules forbid this URL or what its name stands for. Connectors expect an OSError of a resolver."""


class Destinations:
    """The rules of one installation.

    `allow` is what merchants may reach although it is internal: networks ("10.1.0.0/16"), addresses
    ("127.0.0.1"), hosts ("shop.internal"), whole domains (".internal"). A host allowed by name may stand for
    any address. An allowed host may be called on any port, and so may `localhost` where loopback is allowed.
    Raises ValueError for an entry that is none of these.
    """

    def __init__(
        self, *, allow: Iterable[str] = (), allow_http: bool = False, ports: Collection[int] = (80, 443)
    ) -> None:
        self._allow_http = allow_http
        self._ports = frozenset(ports)
        self._networks: list[Network] = []
        self._names: set[str] = set()
        for entry in allow:
            self._add(entry.strip().lower())

    def _add(self, entry: str) -> None:
        try:
            self._networks.append(ip_network(entry))
        except ValueError:
            if not _NAME.fullmatch(entry.removeprefix(".")) or _ENDS_IN_NUMBER.fullmatch(entry):
                raise ValueError(f"{entry!r} is not a network, an address, a host or a .domain") from None
            self._names.add(entry)

    def read(self, text: str) -> URL:
        """The URL as it will be called: host in lower-case ASCII, no trailing dot. Looks no name up.

        Raises AddressRefused for what no answer of a name server could make right.
        """
        url = _parse(text)
        if url.scheme != "https" and not (url.scheme == "http" and self._allow_http):
            raise AddressRefused(f"the URL must begin with https://{' or http://' * self._allow_http}")
        if url.raw_user is not None or url.raw_password is not None:
            raise AddressRefused("the URL must not contain a user name or password")
        host = _normalised(url.raw_host or "")
        literal = _literal(host)
        if literal is not None:
            self.check(host, [host])
        elif _is_localhost(host) and not self._vouches_for(host, literal):
            raise AddressRefused("the host is this server itself")
        if url.port not in self._ports and not self._vouches_for(host, literal):
            raise AddressRefused("the port is not one that merchants may use")
        return url if host == url.raw_host else url.with_host(host)

    def why_not(self, text: str) -> str | None:
        """Why this can never be a merchant's URL, for a settings form; None when it may. Looks no name up."""
        try:
            self.read(text)
        except AddressRefused as refusal:
            return str(refusal)
        return None

    def check(self, host: str, addresses: Iterable[str]) -> None:
        """Raises AddressRefused unless `host` may stand for each of `addresses`: one bad one spoils all."""
        if self._allows_name(host):
            return
        for address in map(ip_address, addresses):
            use = use_of(address)
            if use is not None and not self._allows_address(address):
                raise AddressRefused(f"the host stands for an internal address ({use})")

    def _vouches_for(self, host: str, literal: Address | None) -> bool:
        """The operator has allowed this very host, whatever the port."""
        if literal is None and _is_localhost(host):
            literal = _LOOPBACK
        return self._allows_name(host) or (literal is not None and self._allows_address(literal))

    def _allows_name(self, host: str) -> bool:
        return host in self._names or any(host.endswith(name) for name in self._names if name.startswith("."))

    def _allows_address(self, address: Address) -> bool:
        address = _unwrapped(address)
        return any(address in network for network in self._networks)


def use_of(address: Address) -> str | None:
    """What an address is set aside for that merchants may not call; None for a public one."""
    address = _unwrapped(address)
    return next((use for network, use in _INTERNAL if address in network), None)


def _unwrapped(address: Address) -> Address:
    """The IPv4 address inside ::ffff:0:0/96, else the address itself."""
    return (address.version == 6 and address.ipv4_mapped) or address


def _parse(text: str) -> URL:
    if len(text) > _LENGTH_MAX or _UNFIT.search(text):
        raise AddressRefused("the URL is too long or contains a space, a control character or a backslash")
    try:
        return URL(text)
    except ValueError:
        raise AddressRefused("this is not a URL") from None


def _normalised(host: str) -> str:
    """A host in lower-case ASCII without its trailing dot. Raises AddressRefused for what is no host."""
    host = host.removesuffix(".")
    if ":" not in host and not _NAME.fullmatch(host):
        raise AddressRefused("the host is not a valid name or address")
    return host


def _literal(host: str) -> Address | None:
    """The address a host spells out, None for a name. Raises AddressRefused for legacy or scoped spelling."""
    if ":" not in host and not _ENDS_IN_NUMBER.fullmatch(host):
        return None
    if "%" in host:
        raise AddressRefused("the address must not carry a scope")
    try:
        return ip_address(host)
    except ValueError:
        raise AddressRefused("an address must be spelled in full, such as 203.0.113.7") from None


def _is_localhost(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost")  # RFC 6761: always loopback
