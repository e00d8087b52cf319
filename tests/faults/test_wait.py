"""Callers that wait for a job's end, over a real socket: the server stops, or they leave."""

import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from gateway.sandbox.timeline import Pace
from tests import plain_http
from tests.cli.conftest import wait_until
from tests.faults.installation import Installation, Served, install, key_header, run_from_now_on, sandbox_airbyte

LONGEST_SECONDS = 90.0
STOPPED_SECONDS = 45.0
"""Less than the minute for which they would wait; the sync takes an hour."""


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with sandbox_airbyte() as airbyte:
        airbyte.sandbox.world.pace = Pace(running_seconds=3600.0)
        yield install(tmp_path, airbyte)


def waiting_for_jobs(served: Served) -> int:
    page = plain_http.get(f"{served.address}/metrics").text
    (found,) = re.findall(r"^gateway_callers_waiting_for_jobs (.+)$", page, re.MULTILINE)
    return int(float(found))


def trigger_and_wait(served: Served, ours: str, key: str, *, seconds: float = LONGEST_SECONDS) -> httpx2.Response:
    url = f"{served.address}/api/v1/connections/{ours}/sync"
    return plain_http.post(url, headers={**key_header(key), "Prefer": "wait=60"}, timeout=seconds)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT], ids=lambda each: each.name)
def test_a_stop_answers_who_waits_as_his_job_stands(installation: Installation, sent: signal.Signals) -> None:
    key = installation.key()
    ((ours, _),) = installation.connections(1)
    with installation.serve() as served, ThreadPoolExecutor(5) as pool:
        asking = [pool.submit(trigger_and_wait, served, ours, key) for _ in range(5)]
        wait_until(lambda: waiting_for_jobs(served) == 5)
        served.process.send_signal(sent)

        status = served.process.wait(STOPPED_SECONDS)

        answers = [each.result() for each in asking]
    assert status == 0
    assert {(answer.status_code, answer.json()["job"]["status"]) for answer in answers} <= {
        (200, "pending"),
        (200, "running"),
    }


def test_of_a_caller_who_leaves_nothing_is_left(installation: Installation) -> None:
    key = installation.key()
    ((ours, _),) = installation.connections(1)
    with installation.serve() as served:
        with pytest.raises(httpx2.ReadTimeout):
            trigger_and_wait(served, ours, key, seconds=1.0)

        wait_until(lambda: '"status":499' in served.log.read_text())


def test_a_wish_to_cancel_is_sent_once_by_the_gateway_that_is_started_after_a_kill(installation: Installation) -> None:
    sandbox = installation.airbyte.sandbox
    sandbox.world.pace = Pace(pending_seconds=3600.0)
    key = installation.key()
    ((ours, _),) = installation.connections(1)
    with installation.serve() as served, ThreadPoolExecutor(1) as pool:
        job_id = served.trigger(ours, key).json()["job"]["jobId"]
        url = f"{served.address}/api/v1/connections/{ours}/jobs/{job_id}/cancel"
        asking = pool.submit(plain_http.post, url, headers=key_header(key), timeout=LONGEST_SECONDS)
        try:
            wait_until(lambda: installation.rows("SELECT outcome FROM cancellations") == [(None,)])
        finally:
            served.kill()
        with pytest.raises(httpx2.TransportError):
            asking.result()
    assert not any(request.method == "DELETE" for request in sandbox.requests)

    run_from_now_on(sandbox, job_id)
    with installation.serve():
        wait_until(lambda: installation.rows("SELECT outcome FROM cancellations") == [("sent",)])

    assert sum(request.method == "DELETE" for request in sandbox.requests) == 1
