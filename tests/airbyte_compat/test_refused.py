"""One workspace or connection that Airbyte does not tell of costs the lists nothing but itself; `Warning` says so."""

import pytest

from gateway.errors import UpstreamForbidden
from gateway.sandbox import Answer
from gateway.web.compatible_paths import PUBLIC_API
from tests.airbyte_compat.support import Tenant, assert_problem, sent
from tests.support import World, quiet

REFUSED_SECONDS = 60.0


def refuse(world: World, airbyte_id: str) -> None:
    """Have Airbyte refuse a connection and its workspace, as to a credential that lost its role there."""
    connection = world.sandbox.world.connections.pop(airbyte_id)
    del world.sandbox.world.workspaces[connection.workspace_id]
    world.sandbox.faults.user_mode = True


@pytest.fixture
async def refused(world: World, acme: Tenant) -> str:
    """Airbyte's id of another connection, alone in a workspace that Airbyte refuses; it has run once."""
    workspace = world.sandbox.world.add_workspace("Refused").workspace_id
    theirs = world.sandbox.world.add_connection(workspace).connection_id
    await world.services.connections.add("acme", connector_type="x", label="X", airbyte_id=theirs)
    for each in (theirs, acme.airbyte_id):
        world.sandbox.world.add_job(each)
    await quiet()
    refuse(world, theirs)
    return theirs


@pytest.mark.parametrize("noun", ["connections", "sources", "destinations"])
async def test_a_list_passes_over_what_airbyte_refuses(acme: Tenant, refused: str, noun: str) -> None:
    answer = await acme.get(f"/{noun}")

    assert answer.status_code == 200, refused
    assert len(answer.json()["data"]) == 1
    assert "warning" in answer.headers


async def test_the_config_api_passes_over_it_too(acme: Tenant, refused: str) -> None:
    (workspace,) = (await acme.get("/workspaces")).json()["data"]

    answer = await acme.config("/connections/list", workspaceId=workspace["workspaceId"])

    assert [row["connectionId"] for row in answer.json()["connections"]] == [acme.airbyte_id]
    assert "warning" in answer.headers
    assert_problem(await acme.get(f"/connections/{refused}"), 502, UpstreamForbidden.message)


async def test_it_is_asked_for_once_a_minute_whoever_lists(world: World, acme: Tenant, refused: str) -> None:
    world.sandbox.requests.clear()
    for _ in range(3):
        await acme.get("/connections")
    path = f"{PUBLIC_API}/connections/{refused}"

    assert sent(world, "GET").count(path) == 1
    world.clock.advance(REFUSED_SECONDS + 1)
    await acme.get("/connections")
    assert sent(world, "GET").count(path) == 2


@pytest.mark.parametrize("noun", ["sources", "destinations"])
async def test_a_refused_source_or_destination_is_asked_for_once_a_minute_too(
    world: World, acme: Tenant, noun: str
) -> None:
    _, other = await world.mapped_connection()
    record = world.sandbox.world.connections[other]
    theirs = record.source_id if noun == "sources" else record.destination_id
    path = f"{PUBLIC_API}/{noun}/{theirs}"
    world.sandbox.faults.answer_with(Answer(403), times=9, when=lambda _, asked: asked == path)
    await quiet()
    world.sandbox.requests.clear()

    for seconds in (0, REFUSED_SECONDS - 1, 2):
        world.clock.advance(seconds)
        answer = await acme.get(f"/{noun}")
        assert (answer.status_code, len(answer.json()["data"])) == (200, 1)
        assert "warning" in answer.headers

    assert sent(world, "GET").count(path) == 2


@pytest.mark.parametrize("is_known", [False, True], ids=["at first", "once the refresh has met it"])
async def test_jobs_of_the_other_workspaces_are_listed(
    world: World, acme: Tenant, refused: str, *, is_known: bool
) -> None:
    if is_known:
        world.clock.advance(60)
        await world.services.syncs.last_sync.ensure_fresh(1)
    else:
        world.clock.advance(6)

    answer = await acme.get("/jobs")

    assert answer.status_code == 200, answer.text
    assert {row["connectionId"] for row in answer.json()["data"]} == {acme.airbyte_id}
    assert "warning" in answer.headers
    assert_problem(await acme.get(f"/jobs?connectionId={refused}"), 502, UpstreamForbidden.message)


async def test_a_list_of_nothing_but_what_airbyte_refuses_is_no_empty_list(world: World, acme: Tenant) -> None:
    refuse(world, acme.airbyte_id)
    world.clock.advance(6)

    for noun in ("connections", "sources", "destinations", "jobs"):
        assert_problem(await acme.get(f"/{noun}"), 502, UpstreamForbidden.message)


async def test_an_odd_record_costs_the_list_only_itself(world: World, acme: Tenant) -> None:
    _, odd = await world.mapped_connection()
    odd_record = Answer(200, body=b'{"connectionId": 7}')
    world.sandbox.faults.answer_with(odd_record, times=9, when=lambda _, path: path.endswith(f"/connections/{odd}"))

    answer = await acme.get("/connections")

    assert [row["connectionId"] for row in answer.json()["data"]] == [acme.airbyte_id]
    assert "warning" in answer.headers
