"""Callers on sockets of their own, of a gateway behind its real server in the test's own event loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.airbyte import Deadlines
from gateway.app import build_gate, create_app
from gateway.provisioning.keys import NewKey
from gateway.web.server.listener import listen
from gateway.web.server.server import Server, build_config
from tests.faults.conftest import Front, Tenant
from tests.faults.wire import Address
from tests.support import BOUND_SECONDS, bearer

UNENDING = Deadlines(read=600.0, trigger=600.0, reconcile=600.0, token=600.0, connect=600.0, permit=600.0)
"""No call ends by itself within a test."""


@asynccontextmanager
async def served(front: Front) -> AsyncIterator["Callers"]:
    """Callers of the gateway behind the server that production runs; its lifespan is the front's."""
    gate = build_gate(front.services)
    started = asyncio.Event()
    with listen("127.0.0.1", 0) as listener:
        config = build_config(create_app(front.services, gate), front.services.settings.server, gate=gate)
        config.lifespan = "off"
        server = Server(config, started.set)
        serving = asyncio.create_task(server.serve([listener]))
        await started.wait()
        try:
            async with callers_of(listener.getsockname()) as callers:
                yield callers
        finally:
            server.should_exit = True
            await serving


@dataclass
class Caller:
    """One socket connection and what it asked for."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def status(self) -> int:
        """Return the status of the next answer, read whole."""
        async with asyncio.timeout(BOUND_SECONDS):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or b"0")
            await self.reader.readexactly(length)
        return int(head.split(b" ", 2)[1])

    async def leave(self) -> None:
        self.writer.transport.abort()
        await asyncio.wait({asyncio.ensure_future(self.writer.wait_closed())})


@dataclass
class Callers:
    """Opens socket connections to an address."""

    address: Address
    all: list[Caller] = field(default_factory=list)

    async def call(self, request: bytes) -> Caller:
        caller = Caller(*await asyncio.open_connection(*self.address))
        self.all.append(caller)
        caller.writer.write(request)
        return caller

    async def calls(self, *requests: bytes) -> list[Caller]:
        return [await self.call(request) for request in requests]


@asynccontextmanager
async def callers_of(address: Address) -> AsyncIterator[Callers]:
    """Callers whose socket connections are closed at the end."""
    callers = Callers(address)
    try:
        yield callers
    finally:
        await asyncio.gather(*(caller.leave() for caller in callers.all))


def trigger_of(tenant: Tenant, *headers: str) -> bytes:
    return _request("POST", f"connections/{tenant.ours}/sync", tenant.key, *headers)


def jobs_of(tenant: Tenant, *headers: str, limit: int = 20, key: NewKey | None = None) -> bytes:
    return _request("GET", f"connections/{tenant.ours}/jobs?limit={limit}", key or tenant.key, *headers)


def _request(method: str, path: str, key: NewKey, *headers: str) -> bytes:
    authorization = f"Authorization: {bearer(key)['Authorization']}"
    lines = [f"{method} /api/v1/{path} HTTP/1.1", "Host: gateway", authorization, *headers]
    return "\r\n".join([*lines, "", ""]).encode()


async def statuses(callers: list[Caller]) -> list[int]:
    return list(await asyncio.gather(*(caller.status() for caller in callers)))


async def until_waiting(front: Front, number: int) -> None:
    """Wait until so many callers wait for Airbyte."""
    async with asyncio.timeout(BOUND_SECONDS):
        while len(front.services.syncs.waiting) != number:
            await asyncio.sleep(0.01)
