"""Workspaces, connections, sources and destinations, as a tenant's Airbyte has them."""

from gateway.errors import BadRequest, UpstreamUnreachable
from gateway.sandbox import Answer
from gateway.sandbox.records import Stream
from gateway.web.compatible_paths import PUBLIC_API
from tests.airbyte_compat.support import Tenant, assert_problem
from tests.support import World, quiet

CATALOG_SECONDS = 300.0


async def test_each_client_has_one_workspace(acme: Tenant) -> None:
    listed = (await acme.get("/workspaces")).json()
    (workspace,) = listed["data"]

    assert list(listed) == ["previous", "next", "data"]
    assert (listed["previous"], listed["next"]) == ("", "")
    assert workspace == {
        "workspaceId": workspace["workspaceId"],
        "name": "Acme",
        "dataResidency": "auto",
        "notifications": {},
    }
    assert (await acme.get(f"/workspaces/{workspace['workspaceId']}/")).json() == workspace
    assert (await acme.get(f"/workspaces/{workspace['workspaceId'].upper()}")).json() == workspace


async def test_a_connection_has_its_label_and_ids_of_the_clients_own(acme: Tenant) -> None:
    (workspace,) = (await acme.get("/workspaces")).json()["data"]
    (row,) = (await acme.get("/connections")).json()["data"]

    assert row == (await acme.get(f"/connections/{acme.airbyte_id}")).json()
    assert row["connectionId"] == acme.airbyte_id
    assert (row["name"], row["status"], row["workspaceId"]) == ("Shop", "active", workspace["workspaceId"])
    assert (row["schedule"], row["tags"], row["createdAt"]) == ({"scheduleType": "manual"}, [], 1775012400)
    assert [stream["name"] for stream in row["configurations"]["streams"]]
    for kind, role in (("shopify", "source"), ("bigquery", "destination")):
        (listed,) = (await acme.get(f"/{role}s")).json()["data"]
        assert listed == (await acme.get(f"/{role}s/{row[f'{role}Id']}")).json()
        assert (listed[f"{role}Type"], listed["configuration"]) == (kind, {})
        assert listed["workspaceId"] == workspace["workspaceId"]


async def test_a_schedule_is_told_in_airbytes_words(world: World, acme: Tenant) -> None:
    workspace = next(iter(world.sandbox.world.workspaces))
    schedules = [
        {"scheduleType": "cron", "cronExpression": "0 0 3 * * ? UTC"},
        {"scheduleType": "basic", "basicTiming": "Every 6 HOURS"},
        {"scheduleType": "basic", "basicTiming": "Every 90 MINUTES"},
    ]
    for schedule in schedules:
        theirs = world.sandbox.world.add_connection(workspace, schedule=schedule)
        await world.services.connections.add("acme", connector_type="x", label="X", airbyte_id=theirs.connection_id)

    told = [row["schedule"] for row in (await acme.get("/connections")).json()["data"]]

    assert told == [{"scheduleType": "manual"}, *schedules]


async def test_a_locked_connection_is_inactive_for_no_client_knows_the_word(world: World, acme: Tenant) -> None:
    workspace = next(iter(world.sandbox.world.workspaces))
    theirs = world.sandbox.world.add_connection(workspace, status="locked")
    await world.services.connections.add("acme", connector_type="x", label="X", airbyte_id=theirs.connection_id)

    assert (await acme.get(f"/connections/{theirs.connection_id}")).json()["status"] == "inactive"
    refusal = await Tenant(world, acme.key, "", theirs.connection_id).trigger()
    assert_problem(refusal, 400, "Connection is not active in Airbyte (status: inactive)")


async def test_sources_and_destinations_are_listed_oldest_first(world: World, acme: Tenant) -> None:
    before = {noun: (await acme.get(f"/{noun}")).json()["data"] for noun in ("sources", "destinations")}
    await world.mapped_connection()
    for noun, rows in before.items():
        after = (await acme.get(f"/{noun}")).json()["data"]
        assert after[: len(rows)] == rows
        assert len(after) > len(rows)


async def test_pages_are_in_a_stable_order_and_the_last_leads_nowhere(world: World, acme: Tenant) -> None:
    for _ in range(4):
        await world.mapped_connection()
    ids = [row.airbyte_id for row in (await world.services.store.connections.of_client(1)).rows]
    seen, path = [], "/connections?limit=2&includeDeleted=false"
    while path:
        page = (await acme.get(path)).json()
        seen.append([row["connectionId"] for row in page["data"]])
        path = page["next"].removeprefix(f"http://gateway{PUBLIC_API}")

    assert seen == [ids[:2], ids[2:4], ids[4:]]
    last = (await acme.get("/connections?limit=2&offset=4")).json()
    assert last["next"] == ""
    assert last["previous"] == f"http://gateway{PUBLIC_API}/connections?limit=2&offset=2"
    assert (await acme.get("/connections?offset=100")).json()["data"] == []


async def test_a_list_of_another_workspace_is_empty_and_one_of_several_is_not(acme: Tenant, globex: Tenant) -> None:
    (own,) = (await acme.get("/workspaces")).json()["data"]
    (foreign,) = (await globex.get("/workspaces")).json()["data"]
    for noun in ("workspaces", "connections", "sources", "destinations", "jobs"):
        await acme.trigger()
        other = await acme.get(f"/{noun}", params={"workspaceIds": foreign["workspaceId"]})
        both = await acme.get(f"/{noun}", params={"workspaceIds": [foreign["workspaceId"], own["workspaceId"]]})
        listed = await acme.get(f"/{noun}", params={"workspaceIds": f"{foreign['workspaceId']},{own['workspaceId']}"})
        assert other.json()["data"] == []
        assert len(both.json()["data"]) == len(listed.json()["data"]) == 1


async def test_what_a_page_cannot_be_is_refused(acme: Tenant) -> None:
    for query in ("limit=0", "limit=101", "limit=x", "offset=-1", "limit=²", "offset=1e9", "limit=" + "9" * 5000):
        answer = await acme.get(f"/connections?{query}")
        assert answer.status_code == BadRequest.status, query


async def test_connections_are_read_once_in_five_minutes(world: World, acme: Tenant) -> None:
    await acme.get("/connections")
    await quiet()
    world.sandbox.requests.clear()

    for path in ("/connections", f"/connections/{acme.airbyte_id}"):
        await acme.get(path)
    assert not world.sandbox.requests
    world.clock.advance(CATALOG_SECONDS + 1)
    await acme.get("/connections")
    assert [each.path for each in world.sandbox.requests] == [f"{PUBLIC_API}/connections/{acme.airbyte_id}"]


async def test_a_connection_that_airbyte_has_deleted_costs_the_list_only_itself(world: World, acme: Tenant) -> None:
    _, gone = await world.mapped_connection()
    del world.sandbox.world.connections[gone]

    assert [row["connectionId"] for row in (await acme.get("/connections")).json()["data"]] == [acme.airbyte_id]
    assert (await acme.get(f"/connections/{gone}")).status_code == 404


async def test_a_failing_airbyte_is_told_in_our_words(world: World, acme: Tenant) -> None:
    world.sandbox.faults.answer_with(Answer.html(502), times=10)

    answer = await acme.get("/connections")

    assert answer.status_code in {502, 503, 504}
    assert "html" not in answer.text
    assert_problem(answer, UpstreamUnreachable.status, answer.json()["detail"])


async def test_a_stream_of_an_unknown_mode_has_none(world: World, acme: Tenant) -> None:
    workspace = next(iter(world.sandbox.world.workspaces))
    stream = Stream("orders", namespace="public", cursor=None)
    theirs = world.sandbox.world.add_connection(workspace, streams=[stream])
    await world.services.connections.add("acme", connector_type="x", label="X", airbyte_id=theirs.connection_id)

    (told,) = (await acme.get(f"/connections/{theirs.connection_id}")).json()["configurations"]["streams"]

    assert told == {
        "name": "orders",
        "namespace": "public",
        "syncMode": "full_refresh_overwrite",
        "cursorField": [],
        "primaryKey": [["id"]],
    }


async def test_health_needs_no_key(world: World) -> None:
    for slash in ("", "/"):
        public = await world.http.get(f"{PUBLIC_API}/health{slash}")
        config = await world.http.get(f"/api/v1/health{slash}")
        assert (public.status_code, public.text) == (200, "Successful operation")
        assert (config.status_code, config.json()) == (200, {"available": True})
