"""What is not on the hot path: writes, first calls of keys, connections read again, and memory for what is kept."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bench.cluster.backends import Backends, cpu_seconds
from bench.cluster.sides import Side
from bench.cluster.sizes import CONNECTIONS_EACH, CROWDED_KEYS, LONE_CLIENTS, crowded_keys, lone_keys
from bench.report import KIBIBYTE, read_process
from bench.serving import STATUS
from bench.wire import connect, request_for
from gateway.background import Background
from gateway.settings.secret import SecretUrl
from gateway.store import DatabaseLocation, Intent, LastSync, Store
from gateway.telemetry.log import log_task_failure
from gateway.times import format_time

TRIGGERS = 200
FLUSHED_KEYS = 5_000
CALLERS = 32
VALKEY_NUMBER = 9
"""Of its sixteen databases, one that no other cluster has."""
BUSY, BUSY_SECONDS = 503, 2.0
ADDRESS, AGENT = "203.0.113.17", "python-requests/2.32.3"


@dataclass(frozen=True)
class Writes:
    """How long each write, by itself, holds the write lock. Times are milliseconds."""

    trigger_ms: float
    trigger_cpu_ms: float
    """Of the gateway's processor."""
    flushed_key_ms: float
    trigger_statements: float = 0.0
    trigger_postgres_ms: float = 0.0
    flushed_key_postgres_ms: float = 0.0
    trigger_written_bytes: float = 0.0


@dataclass(frozen=True)
class FirstCalls:
    """Of keys and connections that a gateway has not read yet. Times are microseconds a call."""

    first_us: float
    first_statements: float
    first_postgres_us: float
    reread_us: float
    """The connections have changed, the key has not."""
    reread_statements: float
    reread_postgres_us: float
    idle_mb: float
    key_bytes: float
    connection_bytes: float
    bucket_bytes: float


async def measure_writes(place: DatabaseLocation, backends: Backends | None = None) -> Writes:
    """Measure writes as a gateway makes them, one after the other. `backends` if the place is theirs."""
    url = place if isinstance(place, SecretUrl) else None
    async with Store(place, Background(log_task_failure)) as store:
        rows = await store.connections.all()
        meter = Meter(backends, url)
        for number in range(TRIGGERS):
            await _trigger(store, rows[number].client_id, rows[number].id, str(rows[number].airbyte_id), 10**6 + number)
        triggers = meter.read(TRIGGERS)
        key_ids = [key.id for key in await store.api_keys.all()][:FLUSHED_KEYS]
        for key_id in key_ids:
            store.usage.count_first(key_id, time.time(), address=ADDRESS, agent=AGENT)
        meter = Meter(backends, url)
        await store.usage.flush()
        flushed = meter.read(len(key_ids))
    return Writes(
        trigger_ms=1000 * triggers.wall,
        trigger_cpu_ms=1000 * triggers.own,
        flushed_key_ms=1000 * flushed.wall,
        trigger_statements=triggers.statements,
        trigger_postgres_ms=1000 * triggers.postgres,
        flushed_key_postgres_ms=1000 * flushed.postgres,
        trigger_written_bytes=triggers.written,
    )


async def _trigger(store: Store, client_id: int, ours: str, theirs: str, job_id: int) -> None:
    """Write the three transactions of one trigger."""
    now = datetime.now(UTC)
    at = format_time(now)
    intent = Intent(client_id, ours, theirs, "key_0000000000000000", "0" * 32, at, at, "gateway")
    number = await store.triggers.begin(intent, young_since=format_time(now - timedelta(seconds=150)))
    if number is None:
        raise RuntimeError("the connection is not there")
    await store.triggers.resolve(client_id, number, outcome="ok", job_id=job_id, at=at)
    await store.last_syncs.record([LastSync(theirs, job_id, at, "running")])


@dataclass(frozen=True)
class Taken:
    """Each of what was counted. Seconds, but for the last two."""

    wall: float
    own: float
    postgres: float
    statements: float
    written: float


class Meter:
    """From here to the reading."""

    def __init__(self, backends: Backends | None, url: SecretUrl | None, pids: Iterable[int] | None = None) -> None:
        self._backends = backends
        self._url = url
        self._pids = [os.getpid()] if pids is None else list(pids)
        self._before = self._counters()

    def _counters(self) -> Taken:
        at, own = time.perf_counter(), cpu_seconds(self._pids)
        if self._backends is None or self._url is None:
            return Taken(at, own, 0.0, 0.0, 0.0)
        shared = self._backends
        return Taken(at, own, shared.postgres_cpu(), shared.statements(self._url), shared.written_bytes())

    def read(self, count: int) -> Taken:
        after, before = self._counters(), self._before
        return Taken(
            wall=(after.wall - before.wall) / count,
            own=(after.own - before.own) / count,
            postgres=(after.postgres - before.postgres) / count,
            statements=(after.statements - before.statements) / count,
            written=(after.written - before.written) / count,
        )


def measure_first_calls(side: Side, backends: Backends) -> FirstCalls:
    """Measure first calls on a gateway that has just started, with the database that `sizes` has filled."""
    (gateway,) = side.gateways
    pid, port = gateway.process.pid, gateway.port
    idle, empty = _rss(pid), backends.valkey_bytes()
    # All that is measured falls before the first writing of usage, half a minute after the start.
    meter = Meter(backends, side.url, [pid])
    asyncio.run(_ask_all(port, lone_keys()))
    first = meter.read(LONE_CLIENTS)
    lone = _rss(pid)
    _change_a_connection(side, backends)
    meter = Meter(backends, side.url, [pid])
    asyncio.run(_ask_all(port, lone_keys()))
    reread = meter.read(LONE_CLIENTS)
    settled = _rss(pid)
    asyncio.run(_ask_all(port, crowded_keys()))
    key_bytes = (_rss(pid) - settled) / CROWDED_KEYS
    buckets = backends.buckets(VALKEY_NUMBER)
    return FirstCalls(
        first_us=1e6 * first.own,
        first_statements=first.statements,
        first_postgres_us=1e6 * first.postgres,
        reread_us=1e6 * reread.own,
        reread_statements=reread.statements,
        reread_postgres_us=1e6 * reread.postgres,
        idle_mb=idle / KIBIBYTE**2,
        key_bytes=key_bytes,
        connection_bytes=((lone - idle) / LONE_CLIENTS - key_bytes) / CONNECTIONS_EACH,
        bucket_bytes=(backends.valkey_bytes() - empty) / buckets if buckets else 0.0,
    )


def _rss(pid: int) -> float:
    return read_process(pid, 0).rss_mb * KIBIBYTE**2


def _change_a_connection(side: Side, backends: Backends) -> None:
    """As the end of a sync does: the connections of every client are read again when they are asked for."""
    sql = "UPDATE connections SET last_sync_status = 'failed' WHERE number = 1"
    if side.url is not None:
        backends.postgres.ask(sql, database=side.url.reveal().rpartition("/")[2])
    else:
        with closing(sqlite3.connect(side.settings[0].with_name("gateway.db"))) as connection, connection:
            connection.execute(sql)
    time.sleep(1)


async def _ask_all(port: int, texts: Sequence[str]) -> None:
    waiting = iter(texts)

    async def call() -> None:
        wire = await connect(port)
        for key in waiting:
            status = await wire.ask(request_for(STATUS, key))
            if status == BUSY:
                # On a machine that others use, the gateway sheds load now and then.
                await asyncio.sleep(BUSY_SECONDS)
                status = await wire.ask(request_for(STATUS, key))
            if status != 200:
                raise RuntimeError(f"the gateway answered {status} to a good key")
        wire.transport.close()

    await asyncio.gather(*(call() for _ in range(CALLERS)))
