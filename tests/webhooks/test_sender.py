"""One message to one receiver, over real socket connections."""

import ssl
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.airbyte.tls import verifying_tls
from gateway.webhooks.destination import Destinations
from gateway.webhooks.name_lookup import NameLookup
from gateway.webhooks.receipt import Receipt
from gateway.webhooks.sender import (
    EXCERPT_BYTES,
    NO_ANSWER,
    NOT_HTTP,
    NOT_PUBLIC,
    NOT_TRUSTED,
    UNREACHABLE,
    HttpSender,
)
from tests.doctor.canned import DRIP, SILENCE, canned, page
from tests.faults.fault import head_of
from tests.faults.test_upstream_connect import certificate, trust
from tests.support import BOUND_SECONDS

SHORT_SECONDS = 0.2
BODY = b'{"type":"sync.succeeded"}'
NAMED = ("-addext", "subjectAltName=DNS:hooks.example")


def sender(*addresses: str, allowed: Sequence[str] = ("127.0.0.0/8",), seconds: float = BOUND_SECONDS) -> HttpSender:
    """Return one in whose world every name has these addresses."""

    async def look_up(_host: str, _port: int) -> Sequence[str]:
        return addresses or ("127.0.0.1",)

    return HttpSender(Destinations(allowed, allow_http=True, look_up=look_up), verifying_tls, seconds=seconds)


async def test_a_message_arrives_whole_and_its_answer_is_told() -> None:
    heard: list[str] = []
    async with canned(page(202, "taken"), heard=heard) as address:
        receipt = await sender().send(f"http://{address}/hooks?a=b", {"webhook-id": "evt_1"}, BODY)

    assert (receipt, receipt.is_success) == (Receipt(202, "taken"), True)
    line, *fields = heard[0].split("\r\n")
    assert line == "POST /hooks?a=b HTTP/1.1"
    assert {f"Host: {address}", "webhook-id: evt_1", "Connection: close", f"Content-Length: {len(BODY)}"} <= set(fields)


async def test_a_redirect_is_a_failure_and_is_not_followed() -> None:
    heard: list[str] = []
    async with canned(page(307, "", "Location: http://127.0.0.1:1/"), heard=heard) as address:
        receipt = await sender().send(f"http://{address}/", {}, BODY)

    assert (receipt.status, receipt.is_success, len(heard)) == (307, False, 1)


async def test_no_environment_leads_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with canned(page(200)) as address:
        assert (await sender().send(f"http://{address}/", {}, BODY)).is_success


async def test_a_name_that_leads_inside_gets_no_connection() -> None:
    heard: list[str] = []
    async with canned(page(200), heard=heard) as address:
        receipt = await sender("1.1.1.1", "127.0.0.1", allowed=()).send(f"http://{address}/", {}, BODY)

    assert (receipt, heard) == (Receipt(None, error=NOT_PUBLIC), [])


async def test_a_name_that_changes_between_check_and_connection_gets_none() -> None:
    """What was checked is what is connected to: the name is looked up once."""
    asked: list[str] = []

    async def look_up(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["1.1.1.1"] if len(asked) > 1 else ["127.0.0.1"]

    async with canned(page(200)) as address:
        destinations = Destinations(["127.0.0.0/8"], allow_http=True, look_up=look_up)
        receipt = await HttpSender(destinations, verifying_tls, seconds=BOUND_SECONDS).send(
            f"http://hooks.example:{address.rpartition(':')[2]}/", {}, BODY
        )

    assert (receipt.status, asked) == (200, ["hooks.example"])


async def test_a_name_that_is_public_at_first_and_private_then_gets_no_connection() -> None:
    found = iter([["127.0.0.9"], ["127.0.0.1"]])

    async def look_up(_host: str, _port: int) -> Sequence[str]:
        return next(found)

    heard: list[str] = []
    destinations = Destinations(["127.0.0.9/32"], allow_http=True, look_up=look_up)
    async with canned(page(200), heard=heard) as address:
        url = f"http://hooks.example:{address.rpartition(':')[2]}/"
        sends = HttpSender(destinations, verifying_tls, seconds=BOUND_SECONDS)
        receipts = [await sends.send(url, {}, BODY) for _ in range(2)]

    assert [receipt.error for receipt in receipts] == [UNREACHABLE, NOT_PUBLIC]
    assert heard == []


async def test_the_next_address_is_tried_where_nobody_listens() -> None:
    async with canned(page(200)) as address:
        port = address.rpartition(":")[2]
        receipt = await sender("127.0.0.9", "127.0.0.1").send(f"http://hooks.example:{port}/", {}, BODY)

    assert receipt.is_success


@pytest.mark.parametrize("answer", [SILENCE, DRIP], ids=["silence", "a head without end"])
async def test_no_answer_in_time(answer: bytes) -> None:
    async with canned(answer) as address:
        receipt = await sender(seconds=SHORT_SECONDS).send(f"http://{address}/", {}, BODY)

    assert receipt == Receipt(None, error=NO_ANSWER.format(seconds=SHORT_SECONDS))


@pytest.mark.parametrize(
    ("answer", "excerpt"),
    [
        (head_of(200, "Content-Length: 5000") + b"x" * 5000, "x" * EXCERPT_BYTES),
        (head_of(200, "Content-Length: 50") + b"cut", "cut"),
        (head_of(200, "Content-Length: 2") + b"\xff!", "�!"),
    ],
    ids=["long", "cut off", "no UTF-8"],
)
async def test_the_status_counts_whatever_the_body_is(answer: bytes, excerpt: str) -> None:
    async with canned(answer) as address:
        assert await sender().send(f"http://{address}/", {}, BODY) == Receipt(200, excerpt)


async def test_what_is_no_http_is_told() -> None:
    async with canned(b"220 mail.example ESMTP\r\n\r\n") as address:
        assert (await sender().send(f"http://{address}/", {}, BODY)).error == NOT_HTTP


async def test_nobody_listens() -> None:
    async with canned(page(200)) as address:
        pass

    assert (await sender().send(f"http://{address}/", {}, BODY)).error == UNREACHABLE


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_the_certificate_must_be_of_the_name_and_not_of_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_trusted: bool
) -> None:
    tls: ssl.SSLContext = certificate(tmp_path, *NAMED)
    if is_trusted:
        trust(tmp_path, monkeypatch)
    async with canned(page(200), tls=tls) as address:
        port = address.rpartition(":")[2]
        named = await sender().send(f"https://hooks.example:{port}/", {}, BODY)
        absolute = await sender().send(f"https://hooks.example.:{port}/", {}, BODY)
        other = await sender().send(f"https://other.example:{port}/", {}, BODY)

    assert named == absolute == (Receipt(200, "<html></html>") if is_trusted else Receipt(None, error=NOT_TRUSTED))
    assert other == Receipt(None, error=NOT_TRUSTED)


async def test_a_name_that_hangs_holds_one_thread_however_often_it_is_asked_for() -> None:
    entered, free = threading.Semaphore(0), threading.Event()

    def get_address_info(host: str, _port: int, **_options: Any) -> Sequence[tuple[Any, ...]]:
        if host == "slow.example":
            entered.release()
            assert free.wait(BOUND_SECONDS)
        return [(2, 1, 6, "", ("127.0.0.1", 1))]

    look_up = NameLookup(most=2, get_address_info=get_address_info)
    destinations = Destinations(["127.0.0.0/8"], allow_http=True, look_up=look_up)
    sender_ = HttpSender(destinations, verifying_tls, seconds=SHORT_SECONDS)
    receipts = [await sender_.send("http://slow.example:1/", {}, BODY) for _ in range(3)]

    assert {receipt.error for receipt in receipts} == {NO_ANSWER.format(seconds=SHORT_SECONDS)}
    assert await look_up("quick.example", 1) == ["127.0.0.1"]
    assert entered.acquire(timeout=BOUND_SECONDS)
    assert not entered.acquire(blocking=False)
    free.set()
    assert await look_up("slow.example", 1) == ["127.0.0.1"]


async def test_a_machine_without_a_thread_to_spare_looks_a_name_up_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def get_address_info(*_arguments: Any, **_options: Any) -> Sequence[tuple[Any, ...]]:
        return [(2, 1, 6, "", ("127.0.0.1", 1))]

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    look_up = NameLookup(most=1, get_address_info=get_address_info)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        for _ in range(2):
            with pytest.raises(OSError, match="new thread"):
                await look_up("hooks.example", 1)

    assert await look_up("hooks.example", 1) == ["127.0.0.1"]


async def test_an_address_needs_no_lookup() -> None:
    def get_address_info(*_arguments: Any, **_options: Any) -> Sequence[tuple[Any, ...]]:
        raise AssertionError("it was looked up")

    destinations = Destinations((), allow_http=False, look_up=NameLookup(get_address_info=get_address_info))

    assert await destinations.addresses("https://8.8.8.8/x") == ["8.8.8.8"]


async def test_a_name_that_does_not_exist_is_told_like_one_that_is_not_public() -> None:
    def get_address_info(*_arguments: Any, **_options: Any) -> Sequence[tuple[Any, ...]]:
        raise OSError("Name or service not known")

    destinations = Destinations((), allow_http=False, look_up=NameLookup(get_address_info=get_address_info))
    receipt = await HttpSender(destinations, verifying_tls, seconds=BOUND_SECONDS).send("https://no.example/", {}, BODY)

    assert receipt == Receipt(None, error=NOT_PUBLIC)
