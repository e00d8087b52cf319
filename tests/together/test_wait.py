"""Callers who wait for a job's end on several gateways, and a wish to cancel whose gateway dies."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import httpx2
import pytest

from gateway.sandbox.timeline import Pace
from tests import plain_http
from tests.cli.conftest import wait_until
from tests.faults.installation import key_header, run_from_now_on
from tests.postgres import PostgresServer, rows_of
from tests.support import BOUND_SECONDS
from tests.together.support import Cluster, all_know, running_cluster


@pytest.fixture
def own_cluster(tmp_path: Path, own_postgres: PostgresServer) -> Iterator[Cluster]:
    """One of whose gateways is killed."""
    with running_cluster(tmp_path, own_postgres) as running:
        yield running


async def trigger_everywhere(cluster: Cluster, ours: str, key: str) -> list[httpx2.Response]:
    headers = {**key_header(key), "Prefer": "wait=60"}
    async with httpx2.AsyncClient(timeout=3 * BOUND_SECONDS) as client:
        return await asyncio.gather(
            *(
                client.post(f"{address}/api/v1/connections/{ours}/sync", headers=headers)
                for address in cluster.addresses
                for _ in range(3)
            )
        )


def test_while_callers_wait_on_several_gateways_one_of_them_asks_for_all(cluster: Cluster) -> None:
    key = cluster.installation.key()
    ((ours, _),) = cluster.installation.connections(1)
    wait_until(lambda: all_know(cluster, ours, key))
    sandbox = cluster.installation.airbyte.sandbox
    sandbox.world.pace = Pace(pending_seconds=1.0, running_seconds=6.0)
    sandbox.requests.clear()
    began = monotonic()

    answers = asyncio.run(trigger_everywhere(cluster, ours, key))

    seconds = monotonic() - began
    refreshes = sum("updatedAtStart" in request.query for request in sandbox.requests)
    assert {(answer.status_code, answer.json()["job"]["status"]) for answer in answers} == {(200, "succeeded")}
    assert 1 <= refreshes <= seconds + 2  # each begins a second after the end of the one before, whoever led that


def test_a_wish_to_cancel_is_sent_once_when_its_gateway_has_died(own_cluster: Cluster) -> None:
    key = own_cluster.installation.key()
    ((ours, _),) = own_cluster.installation.connections(1)
    wait_until(lambda: all_know(own_cluster, ours, key))
    sandbox = own_cluster.installation.airbyte.sandbox
    sandbox.world.pace = Pace(pending_seconds=3600.0)
    first, url = own_cluster.gateways[0], own_cluster.installation.url
    job_id = first.trigger(ours, key).json()["job"]["jobId"]
    path = f"/api/v1/connections/{ours}/jobs/{job_id}/cancel"
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(plain_http.post, first.address + path, headers=key_header(key), timeout=3 * BOUND_SECONDS)
        try:
            wait_until(lambda: rows_of(url, "SELECT outcome FROM cancellations") == [(None,)])
        finally:
            first.kill()
        with pytest.raises(httpx2.TransportError):
            asking.result()

    def sent() -> int:
        return sum(request.method == "DELETE" for request in sandbox.requests)

    assert sent() == 0
    run_from_now_on(sandbox, job_id)
    wait_until(lambda: sent() > 0)
    wait_until(lambda: sandbox.world.history.find(job_id)[1].status == "cancelled")  # type: ignore[index]  # it is there
    assert sent() == 1
