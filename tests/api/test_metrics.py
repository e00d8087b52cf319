"""/metrics."""

import re
from pathlib import Path

import httpx2
import pytest

from gateway import __version__
from gateway.errors import UpstreamError
from gateway.sandbox import Answer
from tests.other_program import other_program
from tests.support import World, bearer, running_gateway


async def figures(world: World) -> dict[str, float]:
    """Each series and its value."""
    answer = await world.http.get("/metrics")
    assert answer.status_code == 200
    lines = (line.rpartition(" ") for line in answer.text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


async def test_metrics_count_requests_by_route_and_not_by_path(world: World) -> None:
    key = await world.client_with_key()
    await world.http.get("/api/v1/connections/conn_a/jobs", headers=bearer(key))
    await world.http.get("/api/v1/connections/conn_b/jobs", headers=bearer(key))

    answer = await world.http.get("/metrics")

    line = 'gateway_requests_total{method="GET",route="/api/v1/connections/{id}/jobs",status="404"} 2.0'
    assert line in answer.text.splitlines()
    assert "conn_a" not in answer.text
    assert key.text not in answer.text


async def test_metrics_name_the_route_of_a_call_that_was_refused_before_its_handler(world: World) -> None:
    key = await world.client_with_key(rate="1/60")
    for headers in ({}, bearer(key), bearer(key)):
        await world.http.get("/api/v1/connections/conn_a/jobs", headers=headers)

    lines = (await world.http.get("/metrics")).text.splitlines()

    for status in (401, 404, 429):
        name = f'method="GET",route="/api/v1/connections/{{id}}/jobs",status="{status}"'
        assert f"gateway_requests_total{{{name}}} 1.0" in lines


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("192.0.2.7", {}, 404),
        ("127.0.0.1", {"X-Forwarded-For": "192.0.2.7"}, 404),
        ("127.0.0.1", {"Forwarded": "for=192.0.2.7"}, 404),
    ],
)
async def test_metrics_are_for_this_machine_and_not_for_who_comes_through_a_proxy(
    world: World, peer: str, headers: dict[str, str], status: int
) -> None:
    transport = httpx2.ASGITransport(app=world.app, client=(peer, 4000))
    async with httpx2.AsyncClient(transport=transport, base_url="http://gateway") as http:
        answer = await http.get("/metrics", headers=headers)

    assert answer.status_code == status


async def test_other_networks_may_read_metrics_when_set(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, server={"metrics_networks": ("192.0.2.0/24",)}) as world:
        transport = httpx2.ASGITransport(app=world.app, client=("192.0.2.7", 4000))
        async with httpx2.AsyncClient(transport=transport, base_url="http://gateway") as http:
            answer = await http.get("/metrics")

    assert answer.status_code == 200


async def test_the_process_tells_its_version_and_when_it_started(world: World) -> None:
    found = await figures(world)

    assert found[f'gateway_build_info{{version="{__version__}"}}'] == 1
    assert found["process_start_time_seconds"] > 1_700_000_000
    assert found["process_open_fds"] > 0


async def test_calls_to_airbyte_are_counted_by_how_they_ended(world: World) -> None:
    await world.services.airbyte.lists.workspaces(offset=0)
    for answer in (Answer.html(502), Answer(200, (("content-type", "application/json"),), b"[]"), Answer(403)):
        world.sandbox.faults.answer_with(answer, times=2 if answer.status == 502 else 1)
        with pytest.raises(UpstreamError):
            await world.services.airbyte.lists.workspaces(offset=0)

    found = await figures(world)

    assert {
        outcome: found[f'gateway_upstream_calls_total{{outcome="{outcome}"}}']
        for outcome in ("ok", "unreachable", "invalid", "refused", "busy", "timeout")
    } == {"ok": 1, "unreachable": 1, "invalid": 1, "refused": 1, "busy": 0, "timeout": 0}


async def test_a_failing_database_is_told_and_takes_the_metrics_with_it_no_more(world: World) -> None:
    before = await figures(world)
    key, unknown = await world.client_with_key(), await world.key()
    with other_program(world.services.settings.database_location) as other:
        other.keep_others_from_writing()
        await world.http.post("/api/v1/keys/revoke", headers=bearer(key))
    with other_program(world.services.settings.database_location) as other:
        other.keep_others_out()
        await world.http.get("/api/v1/status", headers=bearer(unknown))
        during = await figures(world)
    await world.http.post("/api/v1/keys/revoke", headers=bearer(key))
    after = await figures(world)

    failed = [name for name in during if during[name] > before.get(name, 0) and name.startswith("gateway_database_f")]
    assert {re.findall(r'operation="(\w+)"', name)[0] for name in failed} == {"read", "write"}
    assert (during["gateway_database_writes_failing"], after["gateway_database_writes_failing"]) == (1, 0)
    assert after["gateway_database_writes_total"] > before["gateway_database_writes_total"]
    assert after["gateway_database_lock_wait_seconds_total"] > before["gateway_database_lock_wait_seconds_total"]


async def test_answers_with_a_warning_are_counted_and_the_figures_have_an_age(world: World) -> None:
    key = await world.client_with_key()
    await world.mapped_connection()
    unread = await figures(world)
    world.clock.advance(60)
    await world.http.get("/api/v1/connections", headers=bearer(key))
    world.clock.advance(7)
    fresh = await figures(world)
    world.sandbox.faults.answer_with(Answer.html(502), times=50)
    world.clock.advance(60)
    await world.http.get("/api/v1/connections", headers=bearer(key))

    assert "gateway_last_sync_age_seconds" not in unread
    assert fresh["gateway_last_sync_age_seconds"] == 7
    assert fresh["gateway_stale_answers_total"] == 0
    assert (await figures(world))["gateway_stale_answers_total"] == 1


async def test_answers_are_counted_for_each_client(world: World) -> None:
    keys = [await world.client_with_key(slug) for slug in ("acme", "globex")]
    for key in (keys[0], keys[0], keys[1]):
        await world.http.get("/api/v1/status", headers=bearer(key))
    await world.http.get("/api/v1/connections/conn_a/jobs", headers=bearer(keys[1]))
    await world.http.get("/api/v1/status")

    found = await figures(world)

    assert {name: value for name, value in found.items() if name.startswith("gateway_client_requests_total")} == {
        'gateway_client_requests_total{client="acme",status="200"}': 2,
        'gateway_client_requests_total{client="globex",status="200"}': 1,
        'gateway_client_requests_total{client="globex",status="404"}': 1,
    }
