"""Three gateways behind PgBouncer in transaction mode: notifications may be lost, sessions are shared."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.cli.conftest import wait_until
from tests.postgres import PostgresServer
from tests.together.support import (
    Cluster,
    all_know,
    assert_simultaneous_triggers_are_one_job,
    at_once,
    running_cluster,
)

TRIGGERS = 60


@pytest.fixture(scope="module")
def pooled(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("pooled"), postgres, is_pooled=True) as running:
        yield running


def test_what_is_revoked_is_refused_by_every_gateway_without_notifications(pooled: Cluster) -> None:
    key = pooled.installation.key()
    urls = [f"{address}/api/v1/status" for address in pooled.addresses]
    assert [answer.status_code for answer in asyncio.run(at_once(urls, key))] == [200] * 3

    # As another gateway does it, but that nobody is notified.
    pooled.installation.write(
        "SET LOCAL session_replication_role = replica; UPDATE changes SET number = number + 1, clients = '{}' "
        "WHERE subject = 'keys'; "
        "UPDATE api_keys SET revoked_at = created_at"
    )

    wait_until(lambda: {answer.status_code for answer in asyncio.run(at_once(urls, key))} == {401})


def test_simultaneous_triggers_are_one_job_through_a_pooler(pooled: Cluster) -> None:
    assert_simultaneous_triggers_are_one_job(pooled, TRIGGERS)


def test_all_calls_answer_through_a_pooler(pooled: Cluster) -> None:
    key = pooled.installation.key()
    ((ours, _),) = pooled.installation.connections(1)
    paths = ["status", "connections", f"connections/{ours}/jobs"]
    urls = [f"{address}/api/v1/{path}" for address in pooled.addresses for path in paths]

    wait_until(lambda: all_know(pooled, ours, key))
    reads = asyncio.run(at_once(urls * 2, key))
    started = pooled.gateways[2].trigger(ours, key)

    assert {answer.status_code for answer in reads} == {200}
    assert started.status_code == 200
    assert not pooled.lines("database_lost")
