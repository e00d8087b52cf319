"""What tests share: a clock in the hand, records in the shortest way, the application with a sandbox Airbyte."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import msgspec
from starlette.applications import Starlette

from gateway.airbyte import AirbyteTimings, Deadlines
from gateway.airbyte.in_process import in_process
from gateway.app import create_app
from gateway.background import Background
from gateway.cluster.timings import ClusterTimings
from gateway.models import Client, ClientLimit, Principal, RatePolicy, Scope
from gateway.provisioning.keys import NewKey
from gateway.provisioning.timings import DiscoveryTimings
from gateway.sandbox import PUBLIC_API, Sandbox
from gateway.sandbox.history import JobQuery
from gateway.services import Services, Timings, build_services
from gateway.settings import DatabaseSettings, Settings, load_settings
from gateway.settings.secret import Secret, SecretUrl
from gateway.store import DatabaseLocation, Store, create_database
from gateway.store.sqlite.database import SqliteDatabase
from gateway.store.tables.usage import Usage
from gateway.store.timings import StoreTimings
from gateway.syncs.timings import SyncTimings
from gateway.telemetry.metrics import Metrics
from gateway.web.middleware.request_log import RequestLog
from gateway.webhooks.timings import WebhookTimings

if TYPE_CHECKING:
    from gateway.dashboard.timings import PageTimings
from gateway.telemetry.log import log_task_failure

START = datetime(2026, 4, 1, 3, 0, tzinfo=UTC)
SHARED_CALL = "_as_coroutine"
"""The task of `SingleFlight`."""
SPINS = 50
"""Rounds of the event loop: more than a request takes to reach Airbyte once everything it needs is cached."""
NEVER_MAPPED = "00000000-0000-4000-8000-000000000000"
NEVER_OURS = "conn_0000000000000000"
BOUND_SECONDS = 60.0
"""How long anything may take before a test gives it up; no outcome depends on it."""


PROGRAM = (
    [str(Path(os.environ["GATEWAY_PROGRAM"]).resolve())]
    if "GATEWAY_PROGRAM" in os.environ
    else [sys.executable, "-m", "gateway"]
)
"""What tests start when they start the gateway in a process of its own; `make test-binary` names the binary."""


class HandClock:
    """Both clocks, moved only by `advance`."""

    def __init__(self) -> None:
        self.elapsed = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.elapsed)

    def monotonic(self) -> float:
        return 1000.0 + self.elapsed

    def advance(self, seconds: float) -> None:
        self.elapsed += seconds


def sqlite_of(store: Store) -> SqliteDatabase:
    """The store's file, for a test that is marked `sqlite_only`."""
    assert isinstance(store.database, SqliteDatabase)
    return store.database


async def next_turn() -> None:
    """What another process does while our loop stands still is seen in the loop's next turn, as a request would."""
    await asyncio.sleep(0)


async def quiet() -> None:
    """Wait until nothing is read from Airbyte behind an answer."""
    async with asyncio.timeout(BOUND_SECONDS):
        while any(getattr(task.get_coro(), "__name__", "") == SHARED_CALL for task in asyncio.all_tasks()):
            await asyncio.sleep(0)


def a_caller(
    key_id: str = "key_1",
    rate: RatePolicy | None = None,
    *,
    client_id: int = 1,
    limit: ClientLimit | None = None,
    bucket_id: str | None = None,
) -> Principal:
    """Who calls with a key of a client's."""
    client = Client(client_id, "acme", "Acme", "free", "2026-04-01T03:00:00.000Z")
    return Principal(client, key_id, "full", rate, bucket_id=bucket_id, limit=limit or ClientLimit())


def settings_in(folder: Path) -> Settings:
    """The shipped defaults, pointed at the sandbox; figures always fresh enough unless a test says otherwise."""
    settings = load_settings(None, {}, working_directory=folder)
    return msgspec.structs.replace(
        settings,
        airbyte=msgspec.structs.replace(
            settings.airbyte,
            base_url=f"http://airbyte{PUBLIC_API}",
            client_id="sandbox-client",
            client_secret=Secret("sandbox-secret"),
        ),
    )


PATIENT = StoreTimings(write_lock=5.0, connect=20.0, statement=BOUND_SECONDS)
"""For a machine on which a sync of the disk now and then takes a second: two may be too long behind others. So may they
be for a server that begins a process for each connection.
"""

ANSWERED = Deadlines(config=BOUND_SECONDS, config_call=BOUND_SECONDS)
"""For a sandbox that answers: what an answer can do without is waited for, however busy the machine."""


def store_at(location: DatabaseLocation, *, timings: StoreTimings = PATIENT) -> Store:
    """A store that is not opened yet, as a command has it."""
    return Store(location, Background(log_task_failure), clock=HandClock(), timings=timings)


def counters() -> Usage:
    """Those of a store that is never opened: they count, and nothing is written."""
    return store_at(Path("never-opened")).usage


def silent_log() -> RequestLog:
    """A request log whose lines nobody reads."""
    return RequestLog(
        new_id=lambda: "id", observer=Metrics(), failures=counters(), write_line=lambda _event, _fields: None
    )


@dataclass
class World:
    """One running gateway in front of one sandbox Airbyte."""

    clock: HandClock
    sandbox: Sandbox
    services: Services
    app: Starlette
    http: httpx2.AsyncClient

    async def client_with_key(
        self,
        slug: str = "acme",
        *,
        scope: Scope = "full",
        expires: str | None = None,
        rate: str | None = None,
    ) -> NewKey:
        """A new client and its key."""
        await self.services.clients.add(slug=slug, name=slug.title(), plan="free")
        return await self.key(slug, scope=scope, expires=expires, rate=rate)

    async def key(
        self,
        slug: str = "acme",
        *,
        scope: Scope = "full",
        expires: str | None = None,
        rate: str | None = None,
    ) -> NewKey:
        return await self.services.keys.create(slug, name="test", scope=scope, expires=expires, rate=rate)

    async def allow_keys(self, most: int, slug: str = "acme") -> None:
        """Let so many of the client's keys work at once."""
        await self.services.clients.update(
            slug, name=slug.title(), plan="free", rate=None, rate_total=None, most_keys=str(most)
        )

    async def mapped_connection(self, slug: str = "acme") -> tuple[str, str]:
        """A connection of the client's, mapped to a new one of the sandbox's: our id and Airbyte's."""
        workspaces = self.sandbox.world.workspaces
        workspace = next(iter(workspaces), None) or self.sandbox.world.add_workspace("Work").workspace_id
        theirs = self.sandbox.world.add_connection(workspace)
        mapped = await self.services.connections.add(
            slug, connector_type="shopify", label="Shop", airbyte_id=theirs.connection_id
        )
        assert not mapped.warning
        return mapped.connection.id, theirs.connection_id

    async def simultaneously(self, method: str, path: str, keys: Sequence[NewKey]) -> list[httpx2.Response]:
        """Answers to one request with each of `keys`, all under way before Airbyte answers the first."""
        for key in set(keys):
            # What a request reads from the database is then remembered: all of them walk in step, no thread between.
            await self.http.get(f"/api/v1/connections/{NEVER_OURS}/jobs", headers=bearer(key))
        release = asyncio.Event()
        self.sandbox.faults.get_hang = self.sandbox.faults.post_hang = release
        tasks = [asyncio.create_task(self.http.request(method, path, headers=bearer(key))) for key in keys]
        for _ in range(SPINS):
            await asyncio.sleep(0)
        release.set()
        return await asyncio.gather(*tasks)

    async def until_airbyte_is_asked(self, method: str, end: str) -> None:
        """Wait until the sandbox has got a request whose path ends so, since its `requests` were cleared."""
        async with asyncio.timeout(BOUND_SECONDS):
            while not any(each.method == method and each.path.endswith(end) for each in self.sandbox.requests):
                await asyncio.sleep(0)

    def jobs_of(self, airbyte_id: str) -> list[int]:
        """The ids of the sandbox's jobs of one connection."""
        return [job.job_id for job, _ in self.sandbox.world.history.select(JobQuery(connection_id=airbyte_id))]


@asynccontextmanager
async def running_gateway(
    folder: Path,
    *,
    location: DatabaseLocation | None = None,
    background: Background | None = None,
    cluster_timings: ClusterTimings | None = None,
    sync_timings: SyncTimings | None = None,
    discovery_timings: DiscoveryTimings | None = None,
    page_timings: "PageTimings | None" = None,
    store_timings: StoreTimings = PATIENT,
    webhook_timings: WebhookTimings | None = None,
    deadlines: Deadlines = ANSWERED,
    airbyte_ahead_seconds: float = 0.0,
    **settings: object,
) -> AsyncIterator[World]:
    """The real application, its lifespan run, in front of an empty sandbox. Without `location` a new database file."""
    clock = HandClock()
    sandbox = Sandbox(clock=lambda: clock.now().timestamp() + airbyte_ahead_seconds, empty=True)
    chosen = settings_in(folder)
    for table, values in settings.items():
        current = getattr(chosen, table)
        assert isinstance(values, dict)
        chosen = msgspec.structs.replace(chosen, **{table: msgspec.structs.replace(current, **values)})
    if location is None:
        await create_database(chosen.database_path)
    elif isinstance(location, SecretUrl):
        chosen = msgspec.structs.replace(chosen, database=DatabaseSettings(url=location))
    services = build_services(
        chosen,
        clock,
        connect=in_process(sandbox.app),
        background=background,
        timings=Timings(
            airbyte=AirbyteTimings(deadlines=deadlines),
            cluster=cluster_timings or ClusterTimings(),
            discovery=discovery_timings or DiscoveryTimings(),
            store=store_timings,
            syncs=sync_timings or SyncTimings(),
            webhooks=webhook_timings or WebhookTimings(),
        ),
    )
    app = create_app(services, page_timings=page_timings)
    transport = httpx2.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://gateway") as http,
    ):
        yield World(clock, sandbox, services, app, http)


def bearer(key: NewKey) -> dict[str, str]:
    return {"Authorization": f"Bearer {key.text}"}
