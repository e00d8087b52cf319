"""The real gateway with its real network transport, in front of a fault server on 127.0.0.1."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
import uvloop

from gateway.airbyte import AirbyteTimings, Deadlines
from gateway.app import create_app
from gateway.provisioning.keys import NewKey
from gateway.services import Services, Timings, build_services
from gateway.settings.secret import Secret
from gateway.store import create_database
from gateway.syncs.timings import LastSyncTimings, SyncTimings
from tests.cli.conftest import Airbyte
from tests.faults.fault import BASE_PATH
from tests.faults.fault_server import FaultServer
from tests.faults.installation import Installation, install, sandbox_airbyte
from tests.support import BOUND_SECONDS, HandClock, bearer, settings_in

CLIENT_SECRET = "s3cret-planted"
PATIENT = Deadlines(read=30.0, trigger=30.0, reconcile=30.0, token=30.0, connect=10.0)
"""For faults that end at once: never reached, however busy the machine."""
HASTY = Deadlines(read=2.5, trigger=2.5, reconcile=2.5, token=2.5, connect=2.5)
"""For faults that never end. Longer than a busy machine may stand still: one of 0.4 s passed before the fault server
had been given a moment to take the job on, which then rightly was not found.
"""
ONLY_FOR_CALLERS = SyncTimings(last_sync=LastSyncTimings(idle_watch=100 * BOUND_SECONDS))
"""Airbyte is asked nothing while nobody calls, however long a test takes that counts what it is asked."""
SLACK_SECONDS = 25.0
"""What a busy machine may add to any bound. What no bound ends takes a minute or never ends."""


@dataclass
class Tenant:
    """A client, its key and its one mapped connection: our id and Airbyte's."""

    key: NewKey
    ours: str
    theirs: str


@dataclass
class Front:
    """One running gateway, the fault server behind it, and a client of it."""

    clock: HandClock
    airbyte: FaultServer
    services: Services
    http: httpx2.AsyncClient
    app: Any
    tenant: Tenant

    async def add_tenant(self, slug: str, theirs: str) -> Tenant:
        await self.services.clients.add(slug=slug, name=slug.title(), plan="free")
        key = await self.services.keys.create(slug, name="test", scope="full", expires=None, rate="1000000/60")
        connection = (
            await self.services.connections.add(slug, connector_type="shopify", label="Shop", airbyte_id=theirs)
        ).connection
        return Tenant(key, connection.id, theirs)

    async def jobs(self, tenant: Tenant | None = None, *, limit: int = 20) -> httpx2.Response:
        who = tenant or self.tenant
        return await self.http.get(f"/api/v1/connections/{who.ours}/jobs?limit={limit}", headers=bearer(who.key))

    async def trigger(self, tenant: Tenant | None = None) -> httpx2.Response:
        who = tenant or self.tenant
        return await self.http.post(f"/api/v1/connections/{who.ours}/sync", headers=bearer(who.key))

    async def ask(self, call: str) -> httpx2.Response:
        """`GET` is the job list, `POST` a trigger."""
        return await (self.jobs() if call == "GET" else self.trigger())

    async def assert_recovered(self) -> None:
        """With the faults off and every pause over, reads and triggers work again and nothing is left behind."""
        self.airbyte.heal()
        self.airbyte.finish_jobs()
        self.clock.advance(301)
        await self.until_idle()
        read, started = await self.jobs(), await self.trigger()
        async with asyncio.timeout(BOUND_SECONDS):
            while 504 in {read.status_code, started.status_code}:  # Airbyte is well: the machine stood still
                self.clock.advance(301)
                read, started = await self.jobs(), await self.trigger()
        assert (read.status_code, started.status_code) == (200, 200), (read.text, started.text)
        await self.until_idle()
        assert self.services.airbyte.state()["breaker"] == "closed"
        self.airbyte.finish_jobs()
        self.airbyte.forget()
        self.clock.advance(60)

    async def until_idle(self) -> None:
        """Wait until Airbyte is busy with nothing of ours: what was given up ends a moment later."""
        async with asyncio.timeout(BOUND_SECONDS):
            while self.services.airbyte.in_flight:
                await asyncio.sleep(0.01)


def theirs(number: int) -> str:
    return f"c0ffee00-0000-4000-8000-{number:012d}"


@asynccontextmanager
async def front_of(
    folder: Path,
    *,
    deadlines: Deadlines = PATIENT,
    base_url: str = "http://127.0.0.1:{port}",
    warm: bool = True,
    tls: Any = None,
    **options: object,
) -> AsyncIterator[Front]:
    """A gateway in front of a fault server; when `warm`, one tenant is mapped and a token is there."""
    clock = HandClock()
    airbyte = FaultServer(clock.now)
    await airbyte.start(tls)
    settings = settings_in(folder)
    values: dict[str, object] = {
        "base_url": base_url.format(port=airbyte.port) + BASE_PATH,
        "client_id": "id-planted",
        "client_secret": Secret(CLIENT_SECRET),
        **options,
    }
    settings = msgspec.structs.replace(settings, airbyte=msgspec.structs.replace(settings.airbyte, **values))
    await create_database(settings.database_path)
    timings = Timings(airbyte=AirbyteTimings(deadlines=deadlines), syncs=ONLY_FOR_CALLERS)
    services = build_services(settings, clock, timings=timings)
    app = create_app(services)
    try:
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://gateway") as http,
        ):
            front = Front(clock, airbyte, services, http, app, None)  # type: ignore[arg-type]
            front.tenant = await front.add_tenant("acme", theirs(1))
            if warm:
                await front.http.get("/api/v1/connections", headers=bearer(front.tenant.key))
            airbyte.forget()
            yield front
    finally:
        await airbyte.stop()


UNREACHABLE = (502, {"error": "Upstream service unreachable"})
INVALID = (502, {"error": "Upstream service returned an invalid response"})
BUSY = (503, {"error": "Upstream service is busy"})
TIMED_OUT = (504, {"error": "Upstream service timed out"})
UNKNOWN = (504, {"error": "Outcome unknown: check the job list before retrying"})
NOT_FOUND = (404, {"error": "Connection not found"})


def said(response: httpx2.Response) -> tuple[int, Any]:
    """Status and the whole body."""
    return response.status_code, response.json()


async def bounded(coroutine: Coroutine[Any, Any, httpx2.Response], seconds: float) -> httpx2.Response:
    """The answer, which must come within `seconds` and the slack of a busy machine."""
    async with asyncio.timeout(seconds + SLACK_SECONDS):
        return await coroutine


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The event loop that production runs on: sockets are where loops differ."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[Front]:
    async with front_of(tmp_path) as running:
        yield running


@pytest.fixture
async def hasty(tmp_path: Path) -> AsyncIterator[Front]:
    async with front_of(tmp_path, deadlines=HASTY) as running:
        yield running


@pytest.fixture
def airbyte() -> Iterator[Airbyte]:
    with sandbox_airbyte() as running:
        yield running


@pytest.fixture
def installation(tmp_path: Path, airbyte: Airbyte) -> Installation:
    return install(tmp_path, airbyte)
