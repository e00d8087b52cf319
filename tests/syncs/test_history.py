"""The days of the last weeks: what is read from Airbyte, when, how often, and what is shown meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from sqlite3 import connect
from urllib.parse import parse_qs

import pytest

from gateway.models import Client, Connection, SyncDay
from gateway.sandbox import Answer
from gateway.sandbox.timeline import Status, Step
from gateway.syncs.history import History
from gateway.syncs.timings import HistoryTimings, SyncTimings
from tests.support import BOUND_SECONDS, World, running_gateway

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
TODAY, YESTERDAY = "2026-04-01", "2026-03-31"
"""Where the clock starts, at 03:00."""
FIRST_SHOWN = "2026-03-03"


@pytest.fixture
def wait_seconds() -> float:
    """How long a page with nothing to show waits for Airbyte."""
    return HistoryTimings().wait


@pytest.fixture
async def world(tmp_path: Path, wait_seconds: float) -> AsyncIterator[World]:
    """A gateway with one client, `acme`."""
    timings = SyncTimings(history=HistoryTimings(wait=wait_seconds))
    async with running_gateway(tmp_path, sync_timings=timings) as running:
        await running.services.clients.add(slug="acme", name="Acme", plan="free")
        yield running


async def a_connection(world: World) -> str:
    """Airbyte's id of a new connection of Acme's. What Airbyte was asked meanwhile is forgotten."""
    _, theirs = await world.mapped_connection()
    world.sandbox.requests.clear()
    return theirs


def add_job(world: World, theirs: str, ago: timedelta, status: Status = "succeeded", seconds: float = 60.0) -> None:
    at = (world.clock.now() - ago).timestamp()
    world.sandbox.world.add_job(theirs, status=status, created_at=at, duration_seconds=seconds)


async def acme(world: World, slug: str = "acme") -> tuple[Client, Sequence[Connection]]:
    client = await world.services.store.clients.by_slug(slug)
    return client, (await world.services.store.connections.of_client(client.id)).rows


async def look(world: World, slug: str = "acme") -> History:
    """What a page of the client would show."""
    return await world.services.syncs.history.of(*await acme(world, slug))


async def settled(world: World, slug: str = "acme") -> History:
    """What a page shows once everything is read."""
    async with asyncio.timeout(BOUND_SECONDS):
        while (history := await look(world, slug)).is_reading:
            await asyncio.sleep(0.001)
    return history


def last_query(world: World) -> str:
    return world.sandbox.requests[-1].query


def counts(history: History, theirs: str) -> dict[str, tuple[int, int, int]]:
    return {day: (each.succeeded, each.failed, each.other) for day, each in history.days[theirs].items()}


def questions(world: World) -> list[dict[str, str]]:
    """What Airbyte was asked about jobs since the last time, oldest first."""
    asked = [parse_qs(request.query) for request in world.sandbox.requests if request.path.endswith("/jobs")]
    world.sandbox.requests.clear()
    return [{name: values[0] for name, values in query.items()} for query in asked]


async def test_the_first_look_shows_thirty_days(world: World) -> None:
    theirs = await a_connection(world)
    add_job(world, theirs, MINUTE)
    for status in ("failed", "cancelled", "succeeded"):
        add_job(world, theirs, DAY, status)
    add_job(world, theirs, 29 * DAY)
    add_job(world, theirs, 30 * DAY)

    history = await look(world)

    assert counts(history, theirs) == {TODAY: (1, 0, 0), YESTERDAY: (1, 1, 1), FIRST_SHOWN: (1, 0, 0)}
    assert history.days[theirs][YESTERDAY] == SyncDay(theirs, YESTERDAY, 1, 1, 1, rows=3_000, bytes=1_536_000)
    assert (history.is_reading, history.is_stale) == (False, False)


async def test_only_syncs_count(world: World) -> None:
    theirs = await a_connection(world)
    world.sandbox.world.add_job(theirs, job_type="reset")

    assert counts(await look(world), theirs) == {}


async def test_a_connection_without_mapping_is_no_reason_to_ask(world: World) -> None:
    await world.services.connections.add("acme", connector_type="shopify", label="Shop", airbyte_id=None)

    history = await look(world)

    assert (history.days, history.is_reading) == ({}, False)
    assert not world.sandbox.requests


async def test_what_was_read_is_not_read_again_for_ten_minutes(world: World) -> None:
    theirs = await a_connection(world)
    add_job(world, theirs, 5 * DAY)
    await settled(world)
    questions(world)

    for _ in range(3):
        world.clock.advance(199)
        await settled(world)
    assert questions(world) == []

    world.clock.advance(3)
    await settled(world)
    (question,) = questions(world)
    assert question["createdAtStart"] == f"{TODAY}T00:00:00Z"


async def test_a_new_sync_is_read_at_once(world: World) -> None:
    theirs = await a_connection(world)
    await settled(world)
    world.clock.advance(6)
    add_job(world, theirs, MINUTE, "failed")
    await world.services.syncs.last_sync.ensure_fresh(1)

    assert counts(await settled(world), theirs) == {TODAY: (0, 1, 0)}


async def test_reading_goes_on_where_it_stopped(world: World) -> None:
    theirs = await a_connection(world)
    add_job(world, theirs, 5 * DAY)
    await settled(world)
    world.clock.advance(2 * DAY.total_seconds())
    add_job(world, theirs, MINUTE)
    world.sandbox.requests.clear()

    history = await settled(world)

    assert counts(history, theirs) == {"2026-03-27": (1, 0, 0), "2026-04-03": (1, 0, 0)}
    assert questions(world)[0]["createdAtStart"] == f"{TODAY}T00:00:00Z"


async def test_a_job_is_counted_again_when_it_has_finished(world: World) -> None:
    theirs = await a_connection(world)
    started = world.clock.now().timestamp() - 4 * 3600
    steps = (Step(started, "running"), Step(started + 30 * 3600, "succeeded"))
    world.sandbox.world.put_job(theirs, steps, job_type="sync", rows=10, size=20)
    assert counts(await settled(world), theirs) == {YESTERDAY: (0, 0, 1)}

    world.clock.advance(26.5 * 3600)

    assert counts(await settled(world), theirs) == {YESTERDAY: (1, 0, 0)}


async def test_a_job_that_never_ends_is_not_waited_for_beyond_three_days(world: World) -> None:
    theirs = await a_connection(world)
    add_job(world, theirs, 20 * DAY, "pending")
    await settled(world)
    questions(world)
    world.clock.advance(601)

    await settled(world)

    assert [question["createdAtStart"] for question in questions(world)] == ["2026-03-29T00:00:00Z"]


async def test_a_job_of_the_last_moment_of_a_day_is_not_missed(world: World) -> None:
    """It shows only after the reading that began when its day had just ended."""
    theirs = await a_connection(world)
    world.clock.advance(21 * 3600 + 5)
    await settled(world)
    add_job(world, theirs, timedelta(seconds=10))
    world.clock.advance(601)

    assert counts(await settled(world), theirs) == {TODAY: (1, 0, 0)}


async def test_a_long_history_lets_others_be_read_in_between(world: World) -> None:
    busy, quiet = await a_connection(world), await a_connection(world)
    for number in range(2_500):
        add_job(world, busy, MINUTE + number * timedelta(minutes=15))
    add_job(world, quiet, MINUTE)

    history = await settled(world)

    assert sum(done for done, _, _ in counts(history, busy).values()) == 2_500
    assert counts(history, busy)["2026-03-20"] == (96, 0, 0)
    assert counts(history, quiet) == {TODAY: (1, 0, 0)}
    asked = [question["connectionId"] for question in questions(world)]
    assert asked[:11] == [busy] * 10 + [quiet]
    assert asked.count(quiet) == 1


async def test_what_was_read_of_a_long_history_is_whole_days(world: World) -> None:
    theirs = await a_connection(world)
    for number in range(1_500):
        add_job(world, theirs, MINUTE + number * timedelta(minutes=15))
    asked = world.sandbox.requests
    world.sandbox.faults.answer_with(
        Answer.html(503), times=2, when=lambda *_: sum(request.path.endswith("/jobs") for request in asked) > 10
    )

    history = await settled(world)

    assert history.is_stale
    assert set(list(counts(history, theirs).values())[1:]) == {(96, 0, 0)}


async def test_a_day_of_more_syncs_than_are_read_ends_too(world: World) -> None:
    theirs = await a_connection(world)
    for number in range(1_200):
        add_job(world, theirs, 2 * DAY + timedelta(seconds=number), seconds=0.5)
    for number in range(1_100):
        add_job(world, theirs, timedelta(seconds=number + 1), seconds=0.5)

    history = await settled(world)

    assert counts(history, theirs) == {"2026-03-30": (1_000, 0, 0), TODAY: (1_000, 0, 0)}


@pytest.mark.parametrize("wait_seconds", [0.0])
async def test_whoever_looks_last_is_served_first(world: World) -> None:
    connections = [await a_connection(world) for _ in range(4)]
    release = world.sandbox.faults.get_hang = asyncio.Event()
    client, rows = await acme(world)
    await world.services.syncs.history.of(client, rows[:3])
    while not world.services.airbyte.in_flight:
        await asyncio.sleep(0)
    await world.services.syncs.history.of(client, rows[3:])
    release.set()
    await settled(world)

    assert [question["connectionId"] for question in questions(world)] == [connections[each] for each in (0, 3, 1, 2)]


@pytest.mark.parametrize("wait_seconds", [0.0])
async def test_clients_take_turns_however_many_connections_one_has_and_however_often_it_looks(world: World) -> None:
    theirs = [await a_connection(world) for _ in range(4)]
    await world.services.clients.add(slug="globex", name="Globex", plan="free")
    _, other = await world.mapped_connection("globex")
    world.sandbox.requests.clear()
    release = world.sandbox.faults.get_hang = asyncio.Event()
    await look(world)
    while not world.services.airbyte.in_flight:
        await asyncio.sleep(0)
    await look(world, "globex")
    for _ in range(3):
        await look(world)
    release.set()
    await settled(world)

    assert [question["connectionId"] for question in questions(world)] == [theirs[0], other, *theirs[1:]]


@pytest.mark.parametrize("status", [503, 504])
async def test_a_connection_airbyte_fails_on_keeps_no_other_client_from_being_told(world: World, status: int) -> None:
    bad = await a_connection(world)
    await world.services.clients.add(slug="globex", name="Globex", plan="free")
    _, sound = await world.mapped_connection("globex")
    add_job(world, sound, MINUTE)
    fails = Answer.html(status)
    world.sandbox.faults.answer_with(fails, times=2, when=lambda *_: f"connectionId={bad}" in last_query(world))
    assert (await settled(world)).is_stale

    history = await settled(world, "globex")

    assert counts(history, sound) == {TODAY: (1, 0, 0)}
    assert (history.is_reading, history.is_stale) == (False, False)


async def test_airbyte_is_asked_one_question_at_a_time(world: World) -> None:
    for _ in range(10):
        await a_connection(world)
    in_flight: list[int] = []

    def count(_method: str, _path: str) -> bool:
        in_flight.append(world.services.airbyte.in_flight)
        return False

    world.sandbox.faults.answer_with(Answer(500), when=count)

    await asyncio.gather(*(look(world) for _ in range(5)))
    await settled(world)

    assert in_flight == [1] * 10
    assert len(questions(world)) == 10


@pytest.mark.parametrize("wait_seconds", [0.01])
async def test_a_silent_airbyte_holds_a_page_up_for_so_long_and_no_longer(world: World) -> None:
    theirs = await a_connection(world)
    release = world.sandbox.faults.get_hang = asyncio.Event()

    async with asyncio.timeout(BOUND_SECONDS):
        history = await look(world)
    release.set()

    assert (history.days, history.is_reading, history.is_stale) == ({}, True, False)
    assert counts(await settled(world), theirs) == {}


@pytest.mark.parametrize("wait_seconds", [10 * BOUND_SECONDS])
async def test_a_page_that_has_something_to_show_is_not_held_up(world: World) -> None:
    theirs = await a_connection(world)
    add_job(world, theirs, MINUTE)
    await settled(world)
    world.clock.advance(601)
    release = world.sandbox.faults.get_hang = asyncio.Event()

    async with asyncio.timeout(BOUND_SECONDS):
        history = await look(world)
    release.set()

    assert counts(history, theirs) == {TODAY: (1, 0, 0)}
    assert history.is_reading


async def test_without_airbyte_the_last_known_is_shown_and_it_is_asked_once_a_minute(world: World) -> None:
    theirs = await a_connection(world)
    add_job(world, theirs, MINUTE)
    await settled(world)
    world.clock.advance(601)
    world.sandbox.faults.answer_with(Answer.html(503), times=2)
    assert (await settled(world)).is_stale
    questions(world)

    world.clock.advance(59)
    tasks = asyncio.all_tasks()
    history = await look(world)
    assert counts(history, theirs) == {TODAY: (1, 0, 0)}
    assert (history.is_reading, history.is_stale) == (False, True)
    assert asyncio.all_tasks() <= tasks  # nobody reads behind the page's back
    assert questions(world) == []

    world.clock.advance(1)
    history = await settled(world)
    assert (history.is_reading, history.is_stale) == (False, False)
    assert len(questions(world)) == 1


async def test_an_answer_that_cannot_be_used_keeps_no_other_connection_from_being_read(world: World) -> None:
    broken, sound = await a_connection(world), await a_connection(world)
    add_job(world, sound, MINUTE)
    world.sandbox.faults.answer_with(Answer(400))

    history = await settled(world)

    assert history.days.keys() == {sound}
    assert (history.is_reading, history.is_stale) == (False, False)
    assert [question["connectionId"] for question in questions(world)] == [broken, sound]


async def test_a_connection_airbyte_fails_on_is_the_last_one_asked_the_next_time(world: World) -> None:
    bad, good = await a_connection(world), await a_connection(world)
    world.sandbox.faults.answer_with(Answer.html(503), times=2)
    await settled(world)
    questions(world)
    world.clock.advance(61)
    client, rows = await acme(world)

    await world.services.syncs.history.of(client, rows)
    await settled(world)

    assert [question["connectionId"] for question in questions(world)] == [good, bad]


async def test_a_connection_that_is_no_longer_mapped_is_forgotten(world: World) -> None:
    theirs = await a_connection(world)
    add_job(world, theirs, MINUTE)
    await settled(world)
    (connection,) = (await acme(world))[1]
    await world.services.connections.remove(connection.id)

    await world.services.retention.prune()

    with closing(connect(world.services.settings.database_path)) as database:
        assert database.execute("SELECT count(*) FROM sync_days").fetchone() == (0,)
        assert database.execute("SELECT count(*) FROM sync_days_read").fetchone() == (0,)


async def test_a_gateway_that_is_reading_stops_at_once(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    (tmp_path / "other").mkdir()
    async with asyncio.timeout(BOUND_SECONDS), running_gateway(tmp_path / "other") as world:
        await world.services.clients.add(slug="acme", name="Acme", plan="free")
        await a_connection(world)
        world.sandbox.faults.get_hang = asyncio.Event()
        assert (await look(world)).is_reading
    assert asyncio.all_tasks() <= before
