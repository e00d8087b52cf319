"""/healthz, /readyz and /metrics."""

from pathlib import Path

import httpx2
import pytest

from gateway.doctor.installation import check_database
from gateway.sandbox import Answer
from tests.other_program import other_program
from tests.support import World, bearer, running_gateway


async def test_the_process_is_healthy(world: World) -> None:
    answer = await world.http.get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_is_ready_before_airbyte_was_ever_asked(world: World) -> None:
    answer = await world.http.get("/readyz")

    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "database": "ok",
        "upstream": {"breaker": "closed", "last_answer_seconds_ago": None},
        "stopped_tasks": [],
        "failing_tasks": [],
        **({} if world.services.settings.database.is_file else {"gateways": 1}),
    }


async def test_shows_that_airbyte_is_down_and_stays_ready(world: World) -> None:
    """Of one client's calls it would not be told whether it is Airbyte or that client's connection."""
    slugs = ("acme", "globex", "initech")
    keys = {slug: await world.client_with_key(slug) for slug in slugs}
    connections = {slug: (await world.mapped_connection(slug))[0] for slug in slugs}
    world.sandbox.faults.answer_with(Answer.html(502), times=50)
    for _ in range(2):
        for slug in slugs:
            await world.http.get(f"/api/v1/connections/{connections[slug]}/jobs", headers=bearer(keys[slug]))
    world.clock.advance(3)

    answer = await world.http.get("/readyz")

    assert answer.status_code == 200
    assert answer.json()["upstream"] == {"breaker": "open", "last_answer_seconds_ago": 3.0}


async def test_is_not_ready_when_the_database_does_not_answer(world: World) -> None:
    with other_program(world.services.settings.database_location) as other:
        other.keep_others_out()
        answer = await world.http.get("/readyz")

    assert (answer.status_code, answer.json()["database"]) == (503, "unavailable")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_load_balancers_may_ask_by_options(world: World, path: str) -> None:
    answer = await world.http.request("OPTIONS", path)

    assert answer.status_code == 200
    assert answer.content == (await world.http.get(path)).content


@pytest.mark.postgresql_only
async def test_is_not_ready_when_the_database_takes_no_writes(world: World) -> None:
    place = world.services.settings.database_location
    assert not isinstance(place, Path)
    name = place.reveal().rpartition("/")[2].partition("?")[0]
    with other_program(place) as other:
        # A failover ends all sessions; those that follow are at a standby.
        other.rows(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        other.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        try:
            while (answer := await world.http.get("/readyz")).json()["database"] == "unavailable":
                pass
            (finding,) = [each async for each in check_database(world.services)]
        finally:
            other.rows(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')

    assert (answer.status_code, answer.json()["database"]) == (503, "read-only")
    assert (finding.level, "takes no writes" in finding.text) == ("fail", True)


async def test_is_not_ready_without_the_program_s_own_files(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.api.health.is_installed", lambda: False)

    answer = await world.http.get("/readyz")

    assert (answer.status_code, answer.json()["program_files"]) == (503, "missing")


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
