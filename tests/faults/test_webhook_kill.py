"""Gateways that are killed between a sync's end and its delivery: each event arrives, in order, and none is invented.

The receiver is slow, and now and then it fails. KILLS sets the number of kills; `make chaos` makes fifty.
"""

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from time import sleep
from typing import Any

import orjson
from standardwebhooks.webhooks import Webhook

from tests.cli.conftest import Airbyte, wait_until
from tests.faults.installation import Installation, Served, install

KILLS = int(os.environ.get("KILLS", "3"))
JOBS_PER_KILL = 2
FAILURES = KILLS
"""Messages that the receiver does not take, each the first attempt of an event: it comes again five seconds later."""
FAILS_EACH = 4
"""Of the events, one in so many, until it has failed often enough."""
SLOW_SECONDS = 0.1
SETTINGS = """
freshness_seconds = 1

[webhooks]
allowed_networks = ["127.0.0.0/8"]
allow_http = true
"""


@dataclass
class Receiver:
    """A customer's server: it verifies what comes, and answers unless it is `held`."""

    secret: str = ""
    url: str = ""
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Each message's id and content, in the order in which they came."""
    failed: set[str] = field(default_factory=set)
    held: Event = field(default_factory=Event)
    released: Event = field(default_factory=Event)

    def take(self, headers: dict[str, str], body: bytes) -> int:
        """Return the status to answer with, after a while."""
        Webhook(self.secret).verify(body, headers)
        event_id = headers["webhook-id"]
        is_new = event_id not in dict(self.events)
        self.events.append((event_id, orjson.loads(body)))
        if self.held.is_set():
            self.released.wait()
        sleep(SLOW_SECONDS)
        if is_new and len(self.failed) < FAILURES and len(dict(self.events)) % FAILS_EACH == 0:
            self.failed.add(event_id)
            return 500
        return 200


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status = receiver.take(
                {name.lower(): value for name, value in self.headers.items()},
                self.rfile.read(int(self.headers["content-length"])),
            )
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever)
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}/"
    try:
        yield receiver
    finally:
        receiver.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def test_no_event_is_lost_or_invented_by_a_kill(tmp_path: Path, airbyte: Airbyte) -> None:
    installation = install(tmp_path, airbyte)
    with installation.settings.open("a") as settings:
        settings.write(SETTINGS)
    pairs = installation.connections(3)
    jobs: list[tuple[str, int]] = []
    with receiving() as receiver:
        receiver.secret = installation.stage("webhook", "add", "--client", "acme", "--url", receiver.url)
        for number in range(KILLS):
            with installation.serve() as served:
                wait_until(lambda: installation.rows("SELECT 1 FROM connections WHERE watched_since IS NULL") == [])
                end_syncs_and_be_killed(installation, served, receiver, pairs, jobs, random.Random(number))
        with installation.serve():
            end_syncs(airbyte, pairs, jobs)
            wait_until_all_are_delivered(installation, receiver, jobs)

    assert len(receiver.failed) == FAILURES
    assert_each_event_arrived_in_order(receiver, pairs, jobs)


def end_syncs(airbyte: Airbyte, pairs: list[tuple[str, str]], jobs: list[tuple[str, int]]) -> None:
    """Have a sync of each connection begin and end."""
    for _ in range(JOBS_PER_KILL):
        for _, theirs in pairs:
            created = datetime.now(UTC).timestamp()
            job = airbyte.sandbox.world.add_job(theirs, created_at=created, duration_seconds=0.0)
            jobs.append((theirs, job.job_id))


def end_syncs_and_be_killed(
    installation: Installation,
    served: Served,
    receiver: Receiver,
    pairs: list[tuple[str, str]],
    jobs: list[tuple[str, int]],
    chance: random.Random,
) -> None:
    """Kill the gateway once the first event is stored, or is being sent, or after some were taken."""
    before, stored = len(receiver.events), count(installation, "events")
    moments: list[Callable[[], bool]] = [
        lambda: count(installation, "events") > stored,
        lambda: len(receiver.events) > before,
        lambda: len(receiver.events) > before + 4,
    ]
    number = chance.randrange(len(moments))
    if number == 1:
        receiver.held.set()
    try:
        end_syncs(installation.airbyte, pairs, jobs)
        wait_until(moments[number])
    finally:
        served.kill()
        receiver.held.clear()


def count(installation: Installation, table: str) -> int:
    ((number,),) = installation.rows(f"SELECT count(*) FROM {table}")
    return int(number)


def is_all_delivered(installation: Installation, jobs: list[tuple[str, int]]) -> bool:
    is_stored = count(installation, "events") >= 2 * len(jobs)
    return is_stored and installation.rows("SELECT 1 FROM deliveries WHERE outcome IS NULL LIMIT 1") == []


def wait_until_all_are_delivered(installation: Installation, receiver: Receiver, jobs: list[tuple[str, int]]) -> None:
    """However long it takes, as long as messages come."""

    def moves(before: int) -> bool:
        return len(receiver.events) > before or is_all_delivered(installation, jobs)

    while not is_all_delivered(installation, jobs):
        wait_until(partial(moves, len(receiver.events)))


def assert_each_event_arrived_in_order(
    receiver: Receiver, pairs: list[tuple[str, str]], jobs: list[tuple[str, int]]
) -> None:
    first_seen: dict[str, dict[str, Any]] = {}
    for event_id, content in receiver.events:
        assert first_seen.setdefault(event_id, content) == content
    for ours, theirs in pairs:
        told = [
            (content["type"], content["data"]["jobId"])
            for content in first_seen.values()
            if content["data"]["connection"] == ours
        ]
        assert told == [
            (event, job_id)
            for airbyte_id, job_id in jobs
            if airbyte_id == theirs
            for event in ("sync.started", "sync.succeeded")
        ]
