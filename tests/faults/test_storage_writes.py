"""Writes whose callers leave, revocations under load, and clocks that jump."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, closing
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import Any

import httpx2
import pytest

from gateway.airbyte.in_process import in_process
from gateway.app import create_app
from gateway.models import ApiKey
from gateway.sandbox import Sandbox
from gateway.services import Services, build_services
from gateway.store import create_database
from tests import plain_http
from tests.cli.conftest import wait_until
from tests.faults.installation import Installation, Served, key_header
from tests.support import HandClock, World, bearer, settings_in

CANCELLED_WRITES = 1000
LOOKERS = 6


async def test_a_thousand_cancelled_writes_leave_each_row_whole_or_absent_and_no_lock(world: World) -> None:
    services, path = world.services, world.services.settings.database_path
    await world.client_with_key()
    await world.allow_keys(CANCELLED_WRITES)
    keys = [(await world.key()).record for _ in range(CANCELLED_WRITES // 4)]
    for number in range(CANCELLED_WRITES):
        caller = asyncio.create_task(a_write(services, keys, number))
        # From before its first step to after its last; some stay to the end whatever the machine's pace.
        for _ in range(number * 7 % 400):
            await asyncio.sleep(0)
        if number % 5:
            caller.cancel()
        await asyncio.wait({caller})
    await world.key()

    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as another_process:
        another_process.execute("BEGIN EXCLUSIVE")
        ids = {id_ for (id_,) in another_process.execute("SELECT id FROM api_keys")}
        rotated = another_process.execute("SELECT successor_id, expires_at IS NULL FROM api_keys").fetchall()
        assert another_process.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        another_process.execute("ROLLBACK")
    # Rotation writes two rows: the new key and the end of the old one.
    successors = [successor for successor, _ in rotated if successor]
    assert set(successors) <= ids
    assert [row for row in rotated if (row[0] is None) != bool(row[1])] == []
    assert 0 < len(successors) < len(keys)


def a_write(services: Services, keys: list[ApiKey], number: int) -> Coroutine[Any, Any, Any]:
    key = keys[number // 4]
    writes: list[Callable[[], Coroutine[Any, Any, Any]]] = [
        lambda: services.keys.rotate(key.id, overlap="24h"),
        lambda: services.clients.add(slug=f"client-{number}", name="Client", plan="free"),
        lambda: services.keys.create("acme", name="new", scope="full", expires=None, rate=None),
        lambda: services.keys.revoke(key.id),
    ]
    return writes[number % 4]()


def test_no_request_that_starts_after_a_revocation_was_acknowledged_succeeds(installation: Installation) -> None:
    with installation.serve() as served:
        for _ in range(5):
            revoke_under_load(installation, served)


def revoke_under_load(installation: Installation, served: Served) -> None:
    key = installation.key()
    ((key_id,),) = installation.rows("SELECT id FROM api_keys ORDER BY number DESC LIMIT 1")
    seen: list[list[tuple[float, int]]] = [[] for _ in range(LOOKERS)]
    lookers = [Thread(target=look_until_refused, args=(served, key, looks)) for looks in seen]
    for looker in lookers:
        looker.start()
    wait_until(lambda: all(len(looks) >= 3 for looks in seen))
    asyncio.run(revoke(installation, key_id))
    acknowledged = monotonic()
    for looker in lookers:
        looker.join()

    late = [status for looks in seen for started, status in looks if started > acknowledged]
    assert 200 in {status for looks in seen for _, status in looks}
    assert set(late) <= {401}


def look_until_refused(served: Served, key: str, looks: list[tuple[float, int]]) -> None:
    with plain_http.client(base_url=served.address, headers=key_header(key)) as client:
        while not looks or looks[-1][1] == 200:
            looks.append((monotonic(), client.get("/api/v1/status").status_code))


async def revoke(installation: Installation, key_id: str) -> None:
    settings = settings_in(installation.folder)
    clock = HandClock()
    services = build_services(settings, clock)
    async with services.opened():
        await services.keys.revoke(key_id)


class JumpingClock(HandClock):
    """Its wall time can be set, as an operator or a time server does; the other clock does not notice."""

    def __init__(self) -> None:
        super().__init__()
        self.jump = timedelta()

    def now(self) -> datetime:
        return super().now() + self.jump


@asynccontextmanager
async def gateway_with(clock: JumpingClock, folder: Path) -> AsyncIterator[World]:
    sandbox = Sandbox(clock=lambda: HandClock.now(clock).timestamp(), empty=True)
    settings = settings_in(folder)
    await create_database(settings.database_path)
    services = build_services(settings, clock, connect=in_process(sandbox.app))
    app = create_app(services)
    transport = httpx2.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://gateway") as http,
    ):
        yield World(clock, sandbox, services, app, http)


jumps = pytest.mark.parametrize("hours", [1, -1, 24 * 365, -24 * 365], ids=["1 h", "-1 h", "a year", "minus a year"])


@jumps
async def test_a_jump_of_the_wall_clock_neither_grants_nor_costs_requests(tmp_path: Path, hours: int) -> None:
    clock = JumpingClock()
    async with gateway_with(clock, tmp_path) as world:
        key = await world.client_with_key(rate="10/60")
        before = [(await world.http.get("/api/v1/status", headers=bearer(key))).status_code for _ in range(6)]
        clock.jump = timedelta(hours=hours)
        after = [await world.http.get("/api/v1/status", headers=bearer(key)) for _ in range(5)]
        retry_after = int(after[-1].headers["retry-after"])
        clock.advance(retry_after)
        again = await world.http.get("/api/v1/status", headers=bearer(key))

    assert before + [answer.status_code for answer in after] == [200] * 10 + [429]
    assert 1 <= retry_after <= 6
    assert again.status_code == 200


@jumps
async def test_triggers_and_reads_go_on_after_a_jump(tmp_path: Path, hours: int) -> None:
    clock = JumpingClock()
    async with gateway_with(clock, tmp_path) as world:
        key = await world.client_with_key()
        ours, _ = await world.mapped_connection()
        await world.http.get("/api/v1/connections", headers=bearer(key))
        clock.jump = timedelta(hours=hours)
        clock.advance(10)

        triggered = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))
        listed = await world.http.get("/api/v1/connections", headers=bearer(key))
        jobs = await world.http.get(f"/api/v1/connections/{ours}/jobs", headers=bearer(key))

    assert [answer.status_code for answer in (triggered, listed, jobs)] == [200] * 3
    assert listed.json()["data"][0]["last_sync_status"] == "pending"
    assert [job["jobId"] for job in jobs.json()["data"]] == [triggered.json()["job"]["jobId"]]


async def test_a_key_s_end_is_judged_by_the_wall_clock_of_the_moment(tmp_path: Path) -> None:
    clock = JumpingClock()
    async with gateway_with(clock, tmp_path) as world:
        key = await world.client_with_key(expires="2h")
        codes = []
        for hours in (0, 3, 1):
            clock.jump = timedelta(hours=hours)
            codes.append((await world.http.get("/api/v1/status", headers=bearer(key))).status_code)

    assert codes == [200, 401, 200]
