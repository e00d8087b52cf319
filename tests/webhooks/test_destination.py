"""Which URLs a webhook may have, and which addresses a name may have."""

from collections.abc import Sequence
from ipaddress import ip_address

import httpx2
import pytest

from gateway.errors import InvalidInput
from gateway.webhooks.destination import DestinationRefused, Destinations
from gateway.webhooks.public_address import is_public

PUBLIC = ["1.1.1.1", "100.63.255.255", "172.32.0.1", "2606:4700::1111", "2a00::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]
NOT_PUBLIC = [
    *("0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.8.9.10", "169.254.169.254", "172.16.0.1", "172.31.9.9"),
    *("192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.9"),
    *("224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "168.63.129.16"),
    *("::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "2001::1", "3fff::1", "100::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "2002:a00:1::1", "64:ff9b::7f00:1", "64:ff9b:1::1"),
    *("::127.0.0.1", "fec0::1", "5f00::1"),
]


async def nothing(host: str, port: int) -> list[str]:
    raise OSError(host, port)


def named(*addresses: str, allowed: Sequence[str] = (), allow_http: bool = False) -> Destinations:
    """Return what judges a world in which every name has these addresses."""

    async def look_up(_host: str, _port: int) -> Sequence[str]:
        return addresses

    return Destinations(allowed, allow_http=allow_http, look_up=look_up)


def test_public() -> None:
    assert [address for address in PUBLIC if not is_public(ip_address(address))] == []


def test_not_public() -> None:
    assert [address for address in NOT_PUBLIC if is_public(ip_address(address))] == []


async def test_all_addresses_of_a_name_are_given_once_each() -> None:
    assert await named("1.1.1.1", "2a00::1", "1.1.1.1").addresses("https://a.example/") == ["1.1.1.1", "2a00::1"]


async def test_one_address_that_is_not_public_refuses_the_name() -> None:
    for address in (*NOT_PUBLIC, "fe80::1%eth0", "nonsense"):
        with pytest.raises(DestinationRefused) as raised:
            await named("1.1.1.1", address).addresses("https://a.example/")

        assert address not in repr(raised.value)


async def test_a_name_without_addresses_is_refused_in_the_same_way() -> None:
    for destinations in (named(), Destinations((), allow_http=False, look_up=nothing)):
        with pytest.raises(DestinationRefused):
            await destinations.addresses("https://a.example/")


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "fd00::5"])
async def test_the_operator_may_allow_networks(address: str) -> None:
    destinations = named(address, allowed=["10.0.0.0/8", "fd00::/64"])

    assert await destinations.addresses("https://a.example/") == [address]
    with pytest.raises(DestinationRefused):
        await named("192.168.0.1", allowed=["10.0.0.0/8"]).addresses("https://a.example/")


async def test_http_is_for_operators_who_allow_it() -> None:
    assert await named("1.1.1.1", allow_http=True).addresses("http://a.example/")
    with pytest.raises(DestinationRefused):
        await named("1.1.1.1").addresses("http://a.example/")


GOOD_URLS = [
    *("https://example.com", "https://example.com:8443/a?b=c", "https://8.8.8.8/x", "https://[2a00::1]/"),
    *("HTTPS://EXAMPLE.com./", "https://a_b.example/", "https://1.example/", "https://xn--mnchen-3ya.example/"),
    *("https://hooks:000443/", "https://example.com:/x", "https://example.com/a\\b{c}|`%zz", "https://a?b"),
]


def test_good_urls() -> None:
    for url in GOOD_URLS:
        named().require_allowed(url)

        assert httpx2.URL(url).host, url


BAD_URLS = [
    *(
        "",
        "example.com/x",
        "http://example.com/",
        "ftp://example.com/",
        "https://",
        "https:///x",
        "https://a b.test/",
    ),
    *("https://user:hunter2@example.com/", "https://example.com/#x", "https://example.com:0/", "https://[::1/"),
    *(
        "https://example.com:99999/",
        "https://example.com/\n",
        "https://exämple.com/",
        f"https://a.test/{'x' * 2000}",
    ),
    *("https://999.1.1.1/", "https://01.1.1.1/", "https://1.1.1/", "https://1.1.1.1./", "https://2130706433/"),
    *(
        "https://0x7f.1/",
        "https://a.0x7f/",
        "https://[v1.a]/",
        "https://[1::1%25x]/",
        "https://[2a00::1].com/",
        "https://a[2a00::1]/",
    ),
    *("https://a:443:443/", "https://a..b/", "https://.../", "https://-/", "https://*.com/", "https://a,b/"),
    *(
        f"https://{'a' * 64}.com/",
        "https://exa%6dple.com/",
        "https://a\\b.com/",
        "https://[1.1.1.1]/",
    ),
    *("https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/latest", "https://[::ffff:10.0.0.1]/"),
]


def test_bad_urls() -> None:
    for url in BAD_URLS:
        with pytest.raises(InvalidInput) as raised:
            named().require_allowed(url)

        assert "hunter2" not in str(raised.value)


def test_an_allowed_network_may_be_written_as_an_address() -> None:
    named(allowed=["127.0.0.0/8"], allow_http=True).require_allowed("http://127.0.0.1:9000/hooks")


def test_a_url_that_is_too_long_is_called_so() -> None:
    with pytest.raises(InvalidInput, match="must have at most 2000 characters"):
        named().require_allowed(f"https://a.test/{'x' * 2000}")
