"""Every background task of a gateway that shares all it can survives an unexpected exception, and is told of."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.background import Background, BackgroundTask, Progress, RestartTimings, TaskFailure, Work
from gateway.cluster.timings import ClusterTimings, MembershipTimings, PermitTimings
from gateway.store import DatabaseLocation
from tests.postgres import PostgresServer
from tests.support import BOUND_SECONDS, World, bearer, running_gateway
from tests.valkey import ValkeyServer, running_valkey

TASKS = {
    "cancel wishes",
    "database notifications",
    "due events",
    "heartbeat",
    "last sync watch",
    "left-over triggers",
    "loop lag",
    "permit renewal",
    "program files",
    "retention",
    "trigger outcome retries",
    "usage flush",
    "valkey probe",
    "webhook delivery",
}
VITAL = {"heartbeat", "permit renewal"}
"""Without a heartbeat others take this gateway's triggers for theirs; without renewal others use its permits."""
RARELY_AWAKE = {"due events", "last sync watch", "program files", "trigger outcome retries", "usage flush"}
"""They wait for one thing only while nothing is to be done, or for long."""
SOON = RestartTimings(first_pause=0.01, longest_pause=0.05, steady=0.2, silent=1.0)
BUSY = ClusterTimings(membership=MembershipTimings(heartbeat=0.05), permits=PermitTimings(renew=0.05))


class FaultyWork:
    """Work in which one of the things that it waits for raises: deep inside, where its own handlers see it first."""

    def __init__(self, work: Awaitable[None], *, wait: int, error: Exception, planted: Callable[[], None]) -> None:
        """The error comes at the `wait`-th thing waited for; `planted` is called just before."""
        self._steps = work.__await__()
        self._waits_left = wait
        self._error = error
        self._planted = planted

    def __await__(self) -> Generator[Any, Any, None]:
        with suppress(StopIteration):
            waited_for = next(self._steps)
            while True:
                self._waits_left -= 1
                if self._waits_left == 0:
                    self._planted()
                    waited_for = self._steps.throw(self._error)
                    continue
                try:
                    result = yield waited_for
                except BaseException as error:  # noqa: BLE001 - handed on to the work, as a task does
                    waited_for = self._steps.throw(error)
                else:
                    waited_for = self._steps.send(result)


class FaultyBackground(Background):
    """Has the work of each task raise something nobody expects: once, or at each start for the names in `for_good`."""

    def __init__(self, for_good: frozenset[str] = frozenset(), *, wait: int = 1) -> None:
        """`wait`: which of the things that a task waits for raises."""
        self.failures: list[TaskFailure] = []
        super().__init__(self.failures.append, timings=SOON)
        self._for_good = for_good
        self._wait = wait
        self._has_failed: set[str] = set()

    def start(self, name: str, work: Work, *, is_vital: bool = False) -> BackgroundTask:
        async def faulty(progress: Progress) -> None:
            error = RuntimeError(f"planted in {name}")
            if name in self._for_good:
                raise error
            if name in self._has_failed:
                await work(progress)
            else:
                planted = partial(self._has_failed.add, name)
                await FaultyWork(work(progress), wait=self._wait, error=error, planted=planted)

        return super().start(name, faulty, is_vital=is_vital)


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    folder = tmp_path / "valkey"
    folder.mkdir()
    with running_valkey(folder) as server:
        yield server


@pytest.fixture
def location(postgres: PostgresServer) -> DatabaseLocation:
    return postgres.without_rows()


@asynccontextmanager
async def sharing(
    folder: Path, location: DatabaseLocation, valkey: ValkeyServer, background: Background
) -> AsyncIterator[World]:
    shared = {"backend": valkey.secret}
    async with running_gateway(
        folder, location=location, background=background, cluster_timings=BUSY, rate_limit=shared
    ) as world:
        yield world


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


async def readiness(world: World, status: int, stopped: list[str]) -> httpx2.Response:
    """The answer that says so: where a machine stands still for a second, all vital tasks have been silent."""
    async with asyncio.timeout(BOUND_SECONDS):
        while True:
            answer = await world.http.get("/readyz")
            if (answer.status_code, answer.json()["stopped_tasks"]) == (status, stopped):
                return answer
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("wait", "failing"), [(1, TASKS), (2, TASKS - RARELY_AWAKE)])
async def test_each_task_is_told_of_and_runs_again(
    tmp_path: Path, location: DatabaseLocation, valkey: ValkeyServer, wait: int, failing: set[str]
) -> None:
    background = FaultyBackground(wait=wait)
    async with sharing(tmp_path, location, valkey, background) as world:
        key = await world.client_with_key()
        valkey.kill()
        await world.http.get("/api/v1/status", headers=bearer(key))
        await until(lambda: {task.name for task in background.tasks} >= TASKS)
        valkey.start()
        await until(lambda: {failure.task for failure in background.failures} >= failing)
        await until(lambda: world.services.cluster.state()["rate_limit"] == "shared")
        await until(lambda: not any(task.is_failing for task in background.tasks))

        assert {task.name for task in background.tasks} == TASKS
        assert {task.name for task in background.tasks if task.is_vital} == VITAL
        assert sorted(failure.task for failure in background.failures) == sorted(failing)
        await readiness(world, 200, [])
        metrics = (await world.http.get("/metrics")).text
        for name in failing:
            assert f'gateway_background_task_failures_total{{task="{name}"}} 1.0' in metrics


@pytest.mark.parametrize("name", sorted(VITAL))
async def test_a_gateway_whose_vital_task_stays_down_is_not_ready(
    tmp_path: Path, location: DatabaseLocation, valkey: ValkeyServer, name: str
) -> None:
    background = FaultyBackground(frozenset({name}))
    async with sharing(tmp_path, location, valkey, background) as world:
        await until(lambda: any(task.is_stopped for task in background.tasks))
        answer = await readiness(world, 503, [name])

    assert answer.json()["status"] == "not ready"


async def test_a_failing_janitor_empties_no_load_balancer(
    tmp_path: Path, location: DatabaseLocation, valkey: ValkeyServer
) -> None:
    background = FaultyBackground(frozenset(TASKS - VITAL))
    async with sharing(tmp_path, location, valkey, background) as world:
        await until(lambda: sum(failure.task == "retention" for failure in background.failures) > 3)
        answer = await readiness(world, 200, [])
        metrics = (await world.http.get("/metrics")).text

    assert "retention" in answer.json()["failing_tasks"]
    assert 'gateway_background_task_failing{task="retention"} 1.0' in metrics
