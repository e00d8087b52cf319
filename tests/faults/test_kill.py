"""Processes that are killed in the middle: what was acknowledged stays, and no trigger is without its audit row.

KILLS sets the number of kills; `make chaos` makes fifty.
"""

import asyncio
import os
import random
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread

import httpx2

from gateway.auth import keys
from gateway.sandbox.history import JobQuery
from gateway.services import build_services
from gateway.settings import load_settings
from gateway.syncs.timings import TriggerTimings
from gateway.times import SystemClock
from tests.cli.conftest import Airbyte, Program, environment, wait_until
from tests.faults.installation import Installation, Served, install
from tests.support import BOUND_SECONDS

KILLS = int(os.environ.get("KILLS", "4"))
CONNECTIONS_PER_KILL = 5
WRITER = """
import asyncio, secrets, sys
from pathlib import Path
from gateway.times import SystemClock
from gateway.services import build_services
from gateway.settings import load_settings

def say(line):
    # In one piece: print would write word by word where output is not buffered, and be killed in between.
    sys.stdout.write(line + "\\n")
    sys.stdout.flush()

async def write():
    services = build_services(load_settings(None, {}), SystemClock())
    async with services.opened():
        while True:
            kept = await services.keys.create("acme", name="kept", scope="full", expires=None, rate=None)
            say("created " + kept.text)
            ended = await services.keys.create("acme", name="ended", scope="full", expires=None, rate=None)
            say("revoking " + ended.text)
            await services.keys.revoke(ended.record.id)
            say("revoked " + ended.text)

asyncio.run(write())
"""


@dataclass
class Acknowledged:
    """What the processes said was done before they were killed."""

    created: list[str] = field(default_factory=list)
    revoked: list[str] = field(default_factory=list)
    jobs: list[tuple[str, int]] = field(default_factory=list)


def test_what_was_acknowledged_outlives_every_kill(tmp_path: Path, airbyte: Airbyte) -> None:
    installation = install(tmp_path, airbyte)
    installation.stage("client", "update", "acme", "--most-keys", "100000")
    key = installation.key()
    pairs = installation.connections(KILLS * CONNECTIONS_PER_KILL)
    told = Acknowledged()
    for number in range(KILLS + 1):
        with installation.serve() as served:
            assert_acknowledged_by_http(served, told)
            if number < KILLS:
                mine = pairs[number * CONNECTIONS_PER_KILL :][:CONNECTIONS_PER_KILL]
                work_and_be_killed(installation, served, key, mine, told, random.Random(number))

    assert installation.rows("PRAGMA integrity_check") == [("ok",)]
    assert installation.rows("PRAGMA foreign_key_check") == []
    assert_every_key_is_as_acknowledged(installation, told)
    assert_no_job_without_audit(installation, told)
    assert len(told.created) > KILLS
    assert len(told.revoked) > KILLS
    assert told.jobs
    # The middle one: a busy machine may hold up single starts, a slow recovery would hold up most.


def work_and_be_killed(
    installation: Installation,
    served: Served,
    key: str,
    pairs: list[tuple[str, str]],
    told: Acknowledged,
    chance: random.Random,
) -> None:
    """Write from a second process and trigger through the gateway; kill both at some instant of their work."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER],
        cwd=installation.folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as writer:
        program = Program(writer)
        assert writer.stdout
        reader = Thread(target=program.collect, args=(writer.stdout, program.out))
        triggerer = Thread(target=trigger_until_killed, args=(served, key, pairs, told))
        reader.start()
        triggerer.start()
        enough = chance.randrange(5, 60)
        before = len(told.jobs)
        try:
            wait_until(lambda: len(program.out) >= enough and len(told.jobs) - before >= chance.randrange(1, 4))
        finally:
            served.kill()
            writer.kill()
            for thread in (reader, triggerer):
                thread.join()
    for line in program.out:
        word, _, text = line.partition(" ")
        if word != "revoking":
            (told.created if word == "created" else told.revoked).append(text)


def trigger_until_killed(served: Served, key: str, pairs: list[tuple[str, str]], told: Acknowledged) -> None:
    while True:
        for ours, theirs in pairs:
            try:
                answer = served.trigger(ours, key)
            except httpx2.TransportError:
                return
            if answer.status_code == 200:
                told.jobs.append((theirs, answer.json()["job"]["jobId"]))


def assert_acknowledged_by_http(served: Served, told: Acknowledged) -> None:
    assert [served.get("/status", text).status_code for text in told.created[-5:]] == [200] * len(told.created[-5:])
    assert [served.get("/status", text).status_code for text in told.revoked[-5:]] == [401] * len(told.revoked[-5:])


def assert_every_key_is_as_acknowledged(installation: Installation, told: Acknowledged) -> None:
    stored = dict(installation.rows("SELECT digest, revoked_at IS NULL FROM api_keys"))

    assert [text for text in told.created if stored.get(keys.digest(text)) != 1] == []
    assert [text for text in told.revoked if stored.get(keys.digest(text)) != 0] == []


def assert_no_job_without_audit(installation: Installation, told: Acknowledged) -> None:
    """Each of Airbyte's jobs has an intent that is older, each job that a caller was told of its resolved row."""
    intents = installation.rows("SELECT airbyte_id, min(since) FROM triggers GROUP BY airbyte_id")
    since = {airbyte_id: datetime.fromisoformat(first).timestamp() for airbyte_id, first in intents}
    jobs = installation.airbyte.sandbox.world.history.select(JobQuery(limit=1_000_000))
    assert jobs
    assert [job.job_id for job, _ in jobs if job.created_at < since.get(job.connection_id, float("inf"))] == []

    resolved = set(installation.rows("SELECT airbyte_id, job_id FROM triggers WHERE outcome = 'ok'"))
    assert set(told.jobs) - resolved == set()


class LaterClock(SystemClock):
    """The machine's, by when an intent of just now has settled."""

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=TriggerTimings().settle)


def test_a_kill_between_the_job_and_its_answer_is_found_out_by_the_next_start(tmp_path: Path, airbyte: Airbyte) -> None:
    installation = install(tmp_path, airbyte)
    key = installation.key()
    ((ours, theirs),) = installation.connections(1)
    airbyte.sandbox.faults.post_hang = release = asyncio.Event()
    history = airbyte.sandbox.world.history
    with installation.serve() as served:
        caller = Thread(target=trigger_until_killed, args=(served, key, [(ours, theirs)], Acknowledged()))
        caller.start()
        try:
            wait_until(lambda: bool(history.select(JobQuery(connection_id=theirs))))
        finally:
            served.kill()
            caller.join()
    airbyte.loop.call_soon_threadsafe(release.set)
    ((job, _),) = history.select(JobQuery(connection_id=theirs))
    assert installation.rows("SELECT airbyte_id, outcome FROM triggers") == [(theirs, None)]

    asyncio.run(start_until_resolved(installation))

    assert installation.rows("SELECT airbyte_id, outcome, job_id FROM triggers") == [(theirs, "ok", job.job_id)]


async def start_until_resolved(installation: Installation) -> None:
    settings = load_settings(installation.settings, {})
    async with build_services(settings, LaterClock()).serving(), asyncio.timeout(BOUND_SECONDS):
        while installation.rows("SELECT 1 FROM triggers WHERE outcome IS NULL"):
            await asyncio.sleep(0.01)
