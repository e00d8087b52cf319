"""/healthz and /readyz."""

from pathlib import Path
from typing import Literal

import pytest

from gateway.doctor.installation import check_database
from gateway.errors import UpstreamError
from gateway.sandbox import Answer
from gateway.settings.secret import Secret
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
    location = world.services.settings.database_location
    assert not isinstance(location, Path)
    name = location.reveal().rpartition("/")[2].partition("?")[0]
    with other_program(location) as other:
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


@pytest.mark.sqlite_only
async def test_shows_that_writes_fail_and_stays_ready(world: World) -> None:
    """On a server the heartbeat fails as well, and a gateway that the others take for dead is not ready."""
    key = await world.client_with_key()
    with other_program(world.services.settings.database_location) as other:
        other.keep_others_from_writing()
        refused = await world.http.post("/api/v1/keys/revoke", headers=bearer(key))
        answer = await world.http.get("/readyz")
    await world.http.post("/api/v1/keys/revoke", headers=bearer(key))
    afterwards = await world.http.get("/readyz")

    assert refused.status_code == 503
    assert (answer.status_code, answer.json()["database"]) == (200, "ok")
    assert answer.json()["writes"] in {"failing: locked", "failing: timeout"}
    assert "writes" not in afterwards.json()


@pytest.mark.parametrize("form", [400, 401])
async def test_shows_that_airbyte_refuses_the_credential_and_stays_ready(
    tmp_path: Path, form: Literal[400, 401]
) -> None:
    async with running_gateway(tmp_path, airbyte={"client_id": "somebody-else"}) as world:
        world.sandbox.faults.wrong_credentials = form
        key = await world.client_with_key()
        await world.http.get("/api/v1/status", headers=bearer(key))
        with pytest.raises(UpstreamError):
            await world.services.airbyte.lists.workspaces(offset=0)
        refused = await world.http.get("/readyz")
        world.services.airbyte.change_credential("sandbox-client", Secret("sandbox-secret"))
        await world.services.airbyte.lists.workspaces(offset=0)
        accepted = await world.http.get("/readyz")

    assert (refused.status_code, refused.json()["upstream"]["credential"]) == (200, "refused")
    assert "credential" not in accepted.json()["upstream"]
