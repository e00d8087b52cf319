"""One anonymous question to an address: what is sent, what is read, and what is said when nobody answers."""

import errno
import gzip
import socket
from pathlib import Path

import pytest

from gateway.airbyte.no_answer import NoAnswer, no_answer
from gateway.doctor.probe import BODY_READ_BYTES, Address, certificate_end, get, resolve
from tests.doctor.canned import DRIP, SILENCE, canned, page
from tests.faults.fault import head_of
from tests.faults.test_upstream_connect import RIGHT_NAME, certificate, trust
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
    async with canned(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2 * BODY_READ_BYTES) as address:
        reply = await get(f"http://{address}/", seconds=BOUND_SECONDS)

    assert len(reply.body) == BODY_READ_BYTES


async def test_a_compressed_body_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(100 * BODY_READ_BYTES))
    async with canned(head_of(200, "Content-Encoding: gzip", f"Content-Length: {len(bomb)}") + bomb) as address:
        reply = await get(f"http://{address}/", seconds=BOUND_SECONDS)

    assert reply.body == bomb


async def test_a_body_cut_short_is_looked_through_all_the_same() -> None:
    async with canned(head_of(200, "Content-Length: 100") + b"the beginning") as address:
        reply = await get(f"http://{address}/", seconds=BOUND_SECONDS)

    assert reply.body == b"the beginning"


async def test_a_redirect_to_nonsense_is_told_as_it_stands() -> None:
    async with canned(page(302, "", "Location: http://[::")) as address:
        reply = await get(f"http://{address}/", seconds=BOUND_SECONDS)

    assert (reply.status, reply.location) == (302, "http://[::")


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


@pytest.mark.parametrize("data", [SILENCE, DRIP], ids=["nothing comes", "a field now and then"])
async def test_an_answer_that_does_not_end_is_given_up(data: bytes) -> None:
    async with canned(data) as address:
        with pytest.raises(NoAnswer) as raised:
            await get(f"http://{address}/", seconds=0.1)

    assert (raised.value.kind, str(raised.value)) == ("timeout", f"{address} does not answer within 0.1 s")


async def test_a_closed_port_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = Address("127.0.0.1", taken.getsockname()[1], is_tls=True)
        for question in (
            get(f"http://{address}/", seconds=BOUND_SECONDS),
            certificate_end(address, seconds=BOUND_SECONDS),
        ):
            with pytest.raises(NoAnswer) as raised:
                await question
            assert (raised.value.kind, str(raised.value)) == ("refused", f"nothing listens at {address}")


async def test_a_handshake_that_is_broken_off_is_told_from_plain_text() -> None:
    async with canned(b"", answers_tls=False) as address:
        for question in (
            get(f"https://{address}/", seconds=BOUND_SECONDS),
            certificate_end(Address.of(f"https://{address}"), seconds=BOUND_SECONDS),
        ):
            with pytest.raises(NoAnswer) as raised:
                await question
            assert (raised.value.kind, str(raised.value)) == ("broken", f"{address} breaks the connection off")


async def test_a_tls_server_that_breaks_off_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls = certificate(tmp_path, *RIGHT_NAME)
    trust(tmp_path, monkeypatch)
    async with canned(b"HTTP/1.1 200", tls=tls) as address:
        with pytest.raises(NoAnswer) as raised:
            await get(f"https://{address}/", seconds=BOUND_SECONDS)

    assert str(raised.value) == f"{address} breaks the connection off"


@pytest.mark.parametrize(
    ("errors", "sentence"),
    [
        (
            (OSError(errno.ENETUNREACH, "Network is unreachable"),),
            "a.example:1 cannot be reached: Network is unreachable",
        ),
        (
            (OSError(errno.ENETUNREACH, "Network is unreachable"), ConnectionRefusedError(errno.ECONNREFUSED, "")),
            "nothing listens at a.example:1",
        ),
        ((TimeoutError(errno.ETIMEDOUT, "Connection timed out"),), "a.example:1 does not answer within 3 s"),
    ],
    ids=["unreachable", "refused by one of two", "no packet comes back"],
)
def test_of_several_addresses_the_most_telling_failure_is_told(errors: tuple[OSError, ...], sentence: str) -> None:
    error = OSError("All connection attempts failed")
    error.__cause__ = ExceptionGroup("multiple connection attempts failed", errors)

    assert str(no_answer(error, asked="a.example:1", host="a.example", seconds=3.0)) == sentence


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
