"""A database that another process holds: what is cached goes on, the rest says when to come back."""

import asyncio
import io
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

from gateway.services import Timings, build_services
from gateway.store import create_database
from gateway.store.timings import StoreTimings
from gateway.telemetry.log import configure_log
from tests.faults.installation import Installation, refusal
from tests.support import BOUND_SECONDS, HandClock, settings_in

UNAVAILABLE = {"error": "Storage is unavailable"}
AT_ONCE = 12
FAR_LESS_THAN_IN_TURN = AT_ONCE / 2
"""So many times as long as one by itself, whatever the machine's pace: one after the other they would take twelve."""


@contextmanager
def held(database: Path) -> Iterator[None]:
    """Nobody else can read or write the file."""
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def test_a_held_database_hinders_no_cached_read_and_delays_no_write_for_long(installation: Installation) -> None:
    key = installation.key()
    (first, _), *pairs = installation.connections(1 + AT_ONCE)
    with installation.serve() as served, ThreadPoolExecutor(AT_ONCE) as pool:
        assert served.get("/status", key).status_code == 200
        installation.airbyte.sandbox.requests.clear()
        with held(installation.database):
            alone = served.trigger(first, key)
            writes = [pool.submit(served.trigger, ours, key) for ours, _ in pairs]
            reads = [served.get("/status", key).status_code for _ in range(20)]
            answers = [write.result() for write in writes]
        after = [served.trigger(ours, key).status_code for ours, _ in pairs]

    assert reads == [200] * 20
    assert [(answer.status_code, answer.json()) for answer in answers] == [(503, UNAVAILABLE)] * AT_ONCE
    assert {answer.headers["retry-after"] for answer in answers} == {"1"}
    assert max(answer.elapsed for answer in answers) < FAR_LESS_THAN_IN_TURN * alone.elapsed
    assert after == [200] * AT_ONCE
    sent = [each.path for each in installation.airbyte.sandbox.requests if each.method == "POST"]
    assert len([path for path in sent if path.endswith("/jobs")]) == AT_ONCE


def test_keys_that_must_be_looked_up_meanwhile_are_told_to_come_back_and_not_that_they_are_wrong(
    installation: Installation,
) -> None:
    first, *keys = [installation.key() for _ in range(1 + AT_ONCE)]
    with installation.serve() as served, ThreadPoolExecutor(AT_ONCE) as pool:
        with held(installation.database):
            alone = served.get("/status", first)
            answers = list(pool.map(lambda key: served.get("/status", key), keys))
        after = [served.get("/status", key).status_code for key in keys]

    assert [(answer.status_code, answer.json()) for answer in answers] == [(503, UNAVAILABLE)] * AT_ONCE
    assert max(answer.elapsed for answer in answers) < FAR_LESS_THAN_IN_TURN * alone.elapsed
    assert after == [200] * AT_ONCE


def test_a_command_on_a_held_database_says_so_in_one_line(installation: Installation) -> None:
    with held(installation.database):
        for words in (("key", "list"), ("key", "create", "--client", "acme", "--name", "test"), ("serve",)):
            assert "database is locked" in refusal(installation.run(*words))


def test_a_second_gateway_on_the_same_database_is_refused_and_commands_are_not(installation: Installation) -> None:
    key = installation.key()
    with installation.serve() as served:
        line = refusal(installation.run("serve", "--port", "0"))

        assert line.endswith("gateway.db: in use by another gateway; one database is served once")
        second = installation.key()
        assert [served.get("/status", each).status_code for each in (key, second)] == [200, 200]
        served.kill()

    with installation.serve() as served:
        assert served.get("/status", key).status_code == 200


async def test_last_uses_that_could_not_be_written_are_written_later(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    await create_database(settings.database_path)
    clock = HandClock()
    services = build_services(settings, clock, timings=Timings(store=StoreTimings(usage_flush=0.01)))
    stream = io.StringIO()
    configure_log(level="warning", style="json", stream=stream)
    with closing(sqlite3.connect(settings.database_path, isolation_level=None)) as other:
        async with services.opened(), asyncio.timeout(BOUND_SECONDS):
            await services.clients.add(slug="acme", name="Acme", plan="free")
            new = await services.keys.create("acme", name="test", scope="full", expires=None, rate=None)
            other.execute("BEGIN IMMEDIATE")
            moment = clock.now().timestamp()
            services.store.usage.count_first(new.record.id, moment, address=None, agent=None)
            while "usage_not_written" not in stream.getvalue():
                await asyncio.sleep(0.01)
            other.execute("ROLLBACK")

            while (await services.store.api_keys.any_by_id(new.record.id)).last_used_at is None:
                await asyncio.sleep(0.01)
