"""Socket connections by address: no block of addresses has all, and a trusted proxy speaks for others."""

from typing import TYPE_CHECKING, Any, cast

import pytest

from gateway.web.server.peers import Peers

if TYPE_CHECKING:
    from uvicorn._types import HTTPScope

MOST = 100


def entered(peers: Peers, addresses: list[str], *, already_open: int = 0) -> int:
    """How many of these socket connections, one after the other, are let in."""
    count = 0
    for address in addresses:
        count += peers.enter(address, open_connections=already_open + count + 1, most=MOST)
    return count


@pytest.mark.parametrize(
    "addresses",
    [["198.51.100.1"] * MOST, [f"2001:db8::{number:x}" for number in range(MOST)]],
    ids=["one address", "one IPv6 network"],
)
def test_one_block_leaves_room_for_another(addresses: list[str]) -> None:
    peers = Peers()

    few = entered(peers, addresses)

    assert few == MOST * 4 // 5
    assert entered(peers, ["198.51.100.2"], already_open=few) == 1


def test_while_there_is_room_everybody_is_let_in() -> None:
    assert entered(Peers(), [f"198.51.100.{number}" for number in range(MOST)]) == MOST


def test_a_closed_socket_connection_makes_room_for_one_of_its_block() -> None:
    peers = Peers()
    few = entered(peers, ["198.51.100.1"] * MOST)
    for _ in range(few):
        peers.leave("198.51.100.1")

    assert entered(peers, ["198.51.100.1"] * MOST) == few


def test_a_trusted_proxy_may_have_all() -> None:
    assert entered(Peers(["10.0.0.0/8"]), ["10.1.2.3"] * MOST) == MOST


@pytest.mark.parametrize(
    ("peer", "client", "scheme"),
    [("10.1.2.3", ("203.0.113.9", 0), "https"), ("198.51.100.1", ("198.51.100.1", 1), "http")],
    ids=["trusted", "not trusted"],
)
def test_only_a_trusted_proxy_names_the_caller(peer: str, client: tuple[str, int], scheme: str) -> None:
    headers = [(b"x-forwarded-for", b"192.0.2.1, 203.0.113.9, 10.9.9.9"), (b"x-forwarded-proto", b"https")]
    scope: dict[str, Any] = {"type": "http", "client": (peer, 1), "scheme": "http", "headers": headers}

    Peers(["10.0.0.0/8"]).read_forwarded(cast("HTTPScope", scope))

    assert (scope["client"], scope["scheme"]) == (client, scheme)


@pytest.mark.parametrize(
    ("values", "scheme"),
    [
        ([b"https"], "https"),
        ([b"https,http"], "https"),
        ([b"https, http"], "https"),
        ([b" HTTPS"], "https"),
        ([b"https", b"http"], "https"),
        ([b"http,https"], "http"),
        ([b"gopher,https"], "http"),
        ([b""], "http"),
    ],
)
def test_of_a_chain_of_proxies_the_first_knows_how_the_caller_came(values: list[bytes], scheme: str) -> None:
    headers = [(b"x-forwarded-proto", value) for value in values]
    scope = cast("HTTPScope", {"type": "http", "client": ("10.1.2.3", 1), "scheme": "http", "headers": headers})

    Peers(["10.0.0.0/8"]).read_forwarded(scope)

    assert scope["scheme"] == scheme
