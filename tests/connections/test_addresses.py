"""The rules about merchants' URLs and the addresses behind them, without a network."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest

from wongate.connections.addresses import INTERNAL, AddressRefused, Destinations, use_of

# The bar's own table, written down a second time: a range that is dropped or narrowed in the code fails here.
REFUSED = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
    *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
    *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32"),
    *(
        "::/128",
        "::1/128",
        "::/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2002::/16",
        "100::/64",
        "2001:db8::/32",
    ),
    *("3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "ff00::/8", "2001::/32", "fec0::/10"),
)
NETWORKS = [ip_network(text) for text in REFUSED]
PUBLIC = "93.184.216.34"


def neighbours() -> Iterator[str]:
    """The addresses just before and just after each range, unless another range holds them."""
    for network in NETWORKS:
        kind: type[IPv4Address] | type[IPv6Address] = type(network[0])
        for number in (int(network[0]) - 1, int(network[-1]) + 1):
            if 0 <= number < 1 << network.max_prefixlen:
                address = kind(number)
                if not any(address in other for other in NETWORKS):
                    yield str(address)


def refusal_of(url: str, rules: Destinations) -> str:
    with pytest.raises(AddressRefused) as refusal:
        rules.read(url)
    return str(refusal.value)


@pytest.mark.parametrize("network", REFUSED)
def test_the_first_middle_and_last_address_of_each_range_are_refused(network: str) -> None:
    addresses = ip_network(network)

    for index in (0, addresses.num_addresses // 2, -1):
        with pytest.raises(AddressRefused, match="internal address"):
            Destinations().check("shop.example", [str(addresses[index])])


@pytest.mark.parametrize("address", sorted(set(neighbours())))
def test_the_neighbours_of_each_range_are_public(address: str) -> None:
    assert use_of(ip_address(address)) is None
    Destinations().check("shop.example", [address])


def test_most_ranges_have_public_neighbours_on_both_sides() -> None:
    edges = {
        "9.255.255.255",
        "11.0.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "::1:0:0",
        "2001:1::",
        "2003::",
        "fe00::",
    }

    assert edges <= set(neighbours())


def test_the_code_refuses_no_range_that_the_table_does_not_know() -> None:
    assert set(INTERNAL) <= set(REFUSED)


@pytest.mark.parametrize("inside, refused", [("127.0.0.1", True), ("169.254.169.254", True), (PUBLIC, False)])
def test_an_ipv4_address_mapped_into_ipv6_is_judged_as_ipv4(inside: str, refused: bool) -> None:
    assert refused == (use_of(ip_address(f"::ffff:{inside}")) is not None)


def test_one_internal_address_among_good_ones_spoils_the_name() -> None:
    for addresses in (
        [PUBLIC, "10.0.0.1"],
        ["10.0.0.1", PUBLIC],
        [PUBLIC, "::ffff:10.0.0.1"],
        [PUBLIC, "fe80::1%eth0"],
    ):
        with pytest.raises(AddressRefused):
            Destinations().check("shop.example", addresses)


def test_a_refusal_names_the_kind_of_address_but_not_the_address() -> None:
    with pytest.raises(AddressRefused) as refusal:
        Destinations().check("intranet.example", ["10.11.12.13"])

    assert "the host stands for an internal address (private network)" == str(refusal.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.1",
        "http://2130706433",
        "http://0x7f000001",
        "http://0x7f.1",
        "http://0177.0.0.1",
        "http://127.0.0.0x1",
        "http://1.2.3.4.5",
        "http://93.184.216.034",
        "http://127.0.0.1",
        "http://127.0.0.1.",
        "http://\uff11\uff12\uff17.0.0.1",
        "http://127。0。0。1",
        "http://①②⑦.0.0.1",
        "http://[::1]",
        "http://[0:0:0:0:0:0:0:1]",
        "http://[::ffff:127.0.0.1]",
        "http://[::ffff:7f00:1]",
        "http://[::127.0.0.1]",
        "http://[64:ff9b::7f00:1]",
        "http://[2002:7f00:1::]",
        "http://[fe80::1%25eth0]",
        "http://[2606:4700::1111%25eth0]",
        "http://localhost",
        "http://LOCALHOST",
        "http://localhost.",
        "http://shop.localhost",
        "http://ⓛocalhost",
        "http://169.254.169.254/latest/meta-data/",
        "http://0",
        "http://0.0.0.0",
        "http://192.168.0.1",
    ],
)
def test_every_spelling_of_an_internal_host_is_refused(url: str) -> None:
    refusal_of(url, Destinations(allow_http=True))


@pytest.mark.parametrize(
    "url, reason",
    [
        ("http://shop.example/", "begin with https://"),
        ("ftp://shop.example/", "begin with https://"),
        ("javascript:alert(1)", "begin with https://"),
        ("file:///etc/passwd", "begin with https://"),
        ("//shop.example/", "begin with https://"),
        ("shop.example/callback", "begin with https://"),
        ("", "begin with https://"),
        ("https://user@shop.example/", "user name or password"),
        ("https://user:pw@shop.example/", "user name or password"),
        ("https://:pw@shop.example/", "user name or password"),
        ("https://shop.example@127.0.0.1/", "user name or password"),
        ("https://shop.example:22/", "port"),
        ("https://shop.example:0/", "port"),
        ("https://shop.example:8443/", "port"),
        ("https://shop.example:99999/", "not a URL"),
        ("https://[::1", "not a URL"),
        ("https:///callback", "not a valid name"),
        ("https://shop..example/", "not a valid name"),
        ("https://localhost../", "not a valid name"),
        ("https://./", "not a valid name"),
        ("https://-shop.example/", "not a valid name"),
        ("https://%31%32%37.0.0.1/", "not a valid name"),
        ("https://shop%00.example/", "not a valid name"),
        (f"https://{'a' * 64}.example/", "not a valid name"),
        (f"https://{'a.' * 127}example/", "not a valid name"),
        ("https://shop.example\\@127.0.0.1/", "backslash"),
        ("https://shop.example/a b", "space"),
        ("https://shop.example/\r\nX: y", "control character"),
        ("https://exa\tmple.com/", "control character"),
        (f"https://shop.example/{'a' * 2048}", "too long"),
    ],
)
def test_a_url_that_can_never_be_called_is_refused_with_its_reason(url: str, reason: str) -> None:
    assert reason in refusal_of(url, Destinations())


@pytest.mark.parametrize(
    "url, called",
    [
        ("https://shop.example/callback?a=1&b=2", "https://shop.example/callback?a=1&b=2"),
        ("HTTPS://Shop.Example/", "https://shop.example/"),
        ("https://shop.example./callback", "https://shop.example/callback"),
        ("https://shop.example:443/", "https://shop.example/"),
        ("https://shop.example:80/", "https://shop.example:80/"),
        ("https://상점.example/콜백", "https://xn--hg4bs7k.example/%EC%BD%9C%EB%B0%B1"),
        ("https://my_shop.example/", "https://my_shop.example/"),
        ("https://93.184.216.34/", "https://93.184.216.34/"),
        ("https://[2606:4700::1111]/", "https://[2606:4700::1111]/"),
        ("https://10.example/", "https://10.example/"),
    ],
)
def test_a_public_url_is_called_in_its_normal_form(url: str, called: str) -> None:
    assert called == str(Destinations().read(url))


def test_plain_http_and_further_ports_need_the_operators_word() -> None:
    open_rules = Destinations(allow_http=True, ports=(80, 443, 8443))

    assert "http" == open_rules.read("http://shop.example/").scheme
    assert 8443 == open_rules.read("https://shop.example:8443/").port
    assert "port" in refusal_of("https://shop.example:8444/", open_rules)
    assert "begin with https:// or http://" in refusal_of("ftp://shop.example/", open_rules)


@pytest.mark.parametrize(
    "allow, url, addresses",
    [
        ("10.1.0.0/16", "http://10.1.2.3:9000/", ["10.1.2.3"]),
        ("10.1.0.0/16", "http://shop.example/", ["10.1.2.3", PUBLIC]),
        ("127.0.0.1", "http://127.0.0.1:9000/", ["127.0.0.1"]),
        ("127.0.0.1", "http://[::ffff:127.0.0.1]:9000/", ["::ffff:127.0.0.1"]),
        ("127.0.0.0/8", "http://localhost:9000/", ["127.0.0.1"]),
        ("127.0.0.0/8", "http://shop.localhost:9000/", ["127.0.0.1"]),
        ("::1", "http://[::1]:9000/", ["::1"]),
        ("localhost", "http://localhost:9000/", ["127.0.0.1", "::1"]),
        ("Shop.Internal", "http://shop.internal:9000/", ["10.9.9.9"]),
        (".internal", "http://a.b.internal:9000/", ["10.9.9.9"]),
    ],
)
def test_the_operator_may_allow_internal_receivers_on_any_port(
    allow: str, url: str, addresses: list[str]
) -> None:
    rules = Destinations(allow=[allow], allow_http=True)

    host = rules.read(url).raw_host
    assert host is not None
    rules.check(host, addresses)


@pytest.mark.parametrize(
    "allow, url",
    [
        ("10.1.0.0/16", "http://10.2.0.1/"),
        ("127.0.0.1", "http://127.0.0.2/"),
        ("127.0.0.1", "http://[::1]/"),
        ("::1", "http://localhost/"),
        ("localhost", "http://shop.localhost/"),
        ("shop.internal", "http://shop.internal.example:9000/"),
        (".internal", "http://internal:9000/"),
        (".internal", "http://shopinternal:9000/"),
        ("10.1.0.0/16", "http://shop.example:9000/"),
    ],
)
def test_what_is_allowed_opens_nothing_beside_it(allow: str, url: str) -> None:
    refusal_of(url, Destinations(allow=[allow], allow_http=True))


def test_an_allowed_network_does_not_excuse_other_addresses_of_the_name() -> None:
    with pytest.raises(AddressRefused):
        Destinations(allow=["10.1.0.0/16"]).check("shop.example", ["10.1.0.1", "10.2.0.1"])


@pytest.mark.parametrize(
    "entry", ["", ".", "10.1.2.3/8", "10.1", "shop.example/path", "*.internal", "a b", "::g"]
)
def test_an_entry_that_allows_nothing_readable_is_refused_by_name(entry: str) -> None:
    with pytest.raises(ValueError, match="is not a network, an address, a host or a") as refusal:
        Destinations(allow=[entry])

    assert repr(entry) in str(refusal.value)
