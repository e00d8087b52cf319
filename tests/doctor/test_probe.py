"""One anonymous question to an address: what is sent, what is read, and what is said when nobody answers."""

import socket

import pytest

from gateway.doctor import probe
from gateway.doctor.probe import Address, NoAnswer, get, resolve
from tests.doctor.canned import SILENCE, canned, page
from tests.support import BOUND_SECONDS

REDIRECT = page(302, "", "Location: http://127.0.0.1:1/elsewhere")
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


async def test_it_says_who_it_is_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    heard: list[str] = []
    async with canned({"/x": page(200, "well")}, heard=heard) as address:
        reply = await get(f"http://{address}/x", seconds=BOUND_SECONDS)

    assert (reply.status, reply.body, reply.content_type) == (200, b"well", "text/html")
    names = {line.partition(":")[0] for line in heard[0].split("\r\n")[1:] if line}
    assert names == {"Host", "User-Agent", "Accept", "Accept-Encoding", "Connection"}


async def test_a_redirect_is_told_and_not_followed() -> None:
    heard: list[str] = []
    async with canned({"/x": REDIRECT}, heard=heard) as address:
        reply = await get(f"http://{address}/x", seconds=BOUND_SECONDS)

    assert (reply.status, reply.location) == (302, "http://127.0.0.1:1/elsewhere")
    assert len(heard) == 1


async def test_a_chunked_body_is_read() -> None:
    async with canned(CHUNKED) as address:
        assert (await get(f"http://{address}/", seconds=BOUND_SECONDS)).body.startswith(b"hello")


async def test_no_more_is_read_than_is_looked_through() -> None:
    async with canned(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2 * probe.MAX_BODY_BYTES) as address:
        reply = await get(f"http://{address}/", seconds=BOUND_SECONDS)

    assert len(reply.body) == probe.MAX_BODY_BYTES


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "breaks the connection off"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n\r\n", "does not answer as HTTP"),
        (b"x" * 100_000, "breaks the connection off"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: te", "breaks the connection off"),
    ],
    ids=["nothing", "another protocol", "no end", "cut off"],
)
async def test_what_is_no_http_server_is_told(data: bytes, sentence: str) -> None:
    async with canned(data) as address:
        with pytest.raises(NoAnswer) as raised:
            await get(f"http://{address}/", seconds=BOUND_SECONDS)

    assert (raised.value.kind, str(raised.value)) == ("broken", f"{address} {sentence}")


async def test_silence_is_given_up() -> None:
    async with canned(SILENCE) as address:
        with pytest.raises(NoAnswer) as raised:
            await get(f"http://{address}/", seconds=0.1)

    assert (raised.value.kind, str(raised.value)) == ("timeout", f"{address} does not answer within 0.1 s")


async def test_a_closed_port_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(NoAnswer) as raised:
            await get(f"http://{address}/", seconds=BOUND_SECONDS)

    assert (raised.value.kind, str(raised.value)) == ("refused", f"nothing listens at {address}")


async def test_a_name_is_resolved_once_for_each_address() -> None:
    assert "127.0.0.1" in await resolve("localhost", seconds=BOUND_SECONDS)

    with pytest.raises(NoAnswer) as raised:
        await resolve("gateway.invalid", seconds=BOUND_SECONDS)
    assert raised.value.kind == "name"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://a.example/x", "a.example:80"),
        ("https://a.example", "a.example:443"),
        ("https://[::1]:8443/x", "[::1]:8443"),
    ],
)
def test_an_address_is_host_and_port(url: str, address: str) -> None:
    assert str(Address.of(url)) == address
