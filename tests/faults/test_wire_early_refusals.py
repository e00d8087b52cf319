"""Who is refused again is answered before the application is asked: as it would, and never if it would let in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from gateway.app import build_gate, create_app
from gateway.provisioning.keys import NewKey
from gateway.web.admission import Gate
from gateway.web.server.listener import listen
from gateway.web.server.server import Server, build_config
from tests.faults.conftest import Front, front_of
from tests.faults.fault import held
from tests.faults.wire import Answer, answers_in
from tests.support import BOUND_SECONDS

UNKNOWN_KEY = "smrt_0000000000000000000000000000003cjI35"
STATUS = "GET /api/v1/status HTTP/1.1"
DIFFERS = {"request_id", "ms", "time"}
"""From line to line, whatever the request."""


@dataclass
class Caller:
    """One socket connection, kept."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, key: str, *lines: str, start: str = STATUS, body: str = "") -> Answer:
        self.write(key, *lines, start=start, body=body)
        return await self.read(has_body=not start.startswith("HEAD"))

    def write(self, key: str, *lines: str, start: str = STATUS, body: str = "") -> None:
        head = [start, "Host: gateway", f"Authorization: Bearer {key}", *lines]
        self.writer.write(("\r\n".join([*head, "", ""]) + body).encode())

    async def read(self, *, has_body: bool = True) -> Answer:
        async with asyncio.timeout(BOUND_SECONDS):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = await self.reader.readexactly(length if has_body else 0)
        (answer,) = answers_in(head + body if has_body else head.replace(b"content-length", b"x-length") + body)
        return answer


@dataclass
class House:
    """A served gateway, its log's lines, and the requests that its application was asked."""

    front: Front
    gate: Gate
    caller: Caller
    lines: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    async def key(self, rate: str) -> NewKey:
        return await self.front.services.keys.create("acme", name="test", scope="full", expires=None, rate=rate)

    async def ask_elsewhere(self, key: str) -> None:
        """Ask on a socket connection of its own."""
        caller = Caller(*await asyncio.open_connection(*self.caller.writer.get_extra_info("peername")))
        await caller.ask(key)
        caller.writer.close()

    async def exhausted(self) -> NewKey:
        """A key of one call an hour, used up, and told so once by the application."""
        key = await self.key("1/3600")
        assert [(await self.caller.ask(key.text)).status for _ in range(2)] == [200, 429]
        self.asked.clear()
        return key


@asynccontextmanager
async def a_house(folder: Path) -> AsyncIterator[House]:
    async with front_of(folder) as front:
        lines: list[dict[str, Any]] = []
        asked: list[str] = []
        gate = build_gate(front.services, lambda _event, fields: lines.append(dict(fields)))
        app = create_app(front.services, gate)

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            asked.append(scope["path"])
            await app(scope, receive, send)

        started = asyncio.Event()
        with listen("127.0.0.1", 0) as listener:
            config = build_config(counted, front.services.settings.server, gate=gate)
            config.lifespan = "off"
            server = Server(config, started.set)
            serving = asyncio.create_task(server.serve([listener]))
            await started.wait()
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            try:
                yield House(front, gate, Caller(reader, writer), lines, asked)
            finally:
                writer.close()
                server.should_exit = True
                await serving


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with a_house(tmp_path) as house:
        yield house


def same(one: Answer, other: Answer) -> bool:
    """Whether two answers differ in nothing but the request's id and the moment."""
    each = [
        (
            answer.status,
            answer.body,
            [pair for pair in answer.headers.items() if pair[0] not in {"x-request-id", "date"}],
        )
        for answer in (one, other)
    ]
    return each[0] == each[1] and list(one.headers) == list(other.headers)


def without(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in DIFFERS}


async def test_a_second_429_is_the_first_one_and_leaves_the_same_behind(house: House) -> None:
    key = await house.key("1/3600")
    answers = [await house.caller.ask(key.text) for _ in range(4)]

    assert [answer.status for answer in answers] == [200, 429, 429, 429]
    assert same(answers[1], answers[2])
    assert answers[2].headers["ratelimit"] == '"default";r=0;t=3600'
    assert len(house.asked) == 2
    assert without(house.lines[1]) == without(house.lines[2]) == without(house.lines[3])
    assert house.lines[2]["request_id"] == answers[2].headers["x-request-id"]
    uses = house.front.services.store.usage._uses[key.record.id]  # noqa: SLF001 - what is written of it is tested there
    assert (uses.calls, uses.limited) == (4, 3)


async def test_a_second_401_is_the_first_one(house: House) -> None:
    for key in ("no key at all", UNKNOWN_KEY):
        first = await house.caller.ask(key)
        # After so many failures of its address a key is refused without a look-up.
        await asyncio.gather(*(house.ask_elsewhere(key) for _ in range(60)))
        before = len(house.asked)
        again = await house.caller.ask(key)

        assert (first.status, again.status) == (401, 401)
        assert same(first, again)
        assert len(house.asked) == before
        assert without(house.lines[-1]) == without(house.lines[0])


async def test_a_token_that_has_come_back_lets_in(house: House) -> None:
    key = await house.exhausted()
    assert (await house.caller.ask(key.text)).status == 429
    house.front.clock.advance(3600)

    assert [(await house.caller.ask(key.text)).status for _ in range(3)] == [200, 429, 429]
    assert len(house.asked) == 2


async def test_what_the_operator_changes_counts_at_once(house: House) -> None:
    key = await house.exhausted()
    await house.front.services.clients.update(
        "acme", name="Acme", plan="free", rate=None, rate_total="1/3600", most_keys=None
    )
    of_client = await house.caller.ask(key.text)
    await house.front.services.keys.revoke(key.record.id)
    revoked = [await house.caller.ask(key.text) for _ in range(2)]

    assert (of_client.status, [answer.status for answer in revoked]) == (429, [401, 401])


async def test_a_client_without_calls_left_is_told_so_by_either(house: House) -> None:
    await house.front.services.clients.update(
        "acme", name="Acme", plan="free", rate="5/3600", rate_total="5/3600", most_keys=None
    )
    key = await house.key("1000/60")
    answers = [await house.caller.ask(key.text) for _ in range(9)]

    assert answers[-1].status == 429
    assert "per client" in answers[-1].error
    assert same(answers[-1], answers[-2])
    assert len(house.asked) < len(answers)


@pytest.mark.parametrize(
    ("start", "lines", "body", "status"),
    [
        ("HEAD /api/v1/status HTTP/1.1", (), "", 429),
        ("POST /api/v1/status HTTP/1.1", ("Content-Length: 2",), "{}", 429),
        ("GET /api/v1/status HTTP/1.1", ("Connection: close",), "", 429),
        ("GET /api/v1/status HTTP/1.0", ("Connection: keep-alive",), "", 429),
        ("GET /api/v1/status HTTP/1.1", ("Connection: upgrade", "Upgrade: h2c"), "", 429),
        ("GET /api/v1/none HTTP/1.1", (), "", 429),
        ("POST /api/v1/keys/revoke HTTP/1.1", (), "", 200),
        ("GET /api/public/v1/workspaces HTTP/1.1", (), "", 429),
    ],
)
async def test_the_application_answers_what_is_not_so_simple(
    house: House, start: str, lines: tuple[str, ...], body: str, status: int
) -> None:
    key = await house.exhausted()

    assert (await house.caller.ask(key.text, *lines, start=start, body=body)).status == status
    assert house.asked == [start.split()[1]]


async def test_answers_keep_the_order_of_their_requests(house: House) -> None:
    key, tenant = await house.exhausted(), house.front.tenant
    release = asyncio.Event()
    house.front.airbyte.switch("jobs", held(release))
    house.caller.write(tenant.key.text, start=f"GET /api/v1/connections/{tenant.ours}/jobs HTTP/1.1")
    house.caller.write(key.text)
    async with asyncio.timeout(BOUND_SECONDS):
        while not house.front.services.airbyte.in_flight:
            await asyncio.sleep(0.01)
    release.set()

    assert [(await house.caller.read()).status for _ in range(2)] == [200, 429]


async def test_it_is_no_way_around_the_turns(house: House) -> None:
    key = await house.exhausted()
    house.gate.known.begun = 1_000_000

    assert (await house.caller.ask(key.text)).status == 429
    assert house.asked == ["/api/v1/status"]
