"""Connections, sources, destinations and workspaces."""

from typing import Any

import httpx2
import pytest

from gateway.sandbox import Connection, Sandbox
from tests.sandbox.conftest import NOON, UNKNOWN


async def page(client: httpx2.AsyncClient, path: str, **params: str | int) -> list[Any]:
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    rows: list[Any] = answer.json()["data"]
    return rows


async def test_a_connection_is_dated_in_epoch_seconds(client: httpx2.AsyncClient, connection: Connection) -> None:
    body = (await client.get(f"/connections/{connection.connection_id}")).json()

    assert body["createdAt"] == NOON
    assert body["schedule"] == {"scheduleType": "manual"}
    assert body["status"] == "active"
    assert "statusReason" not in body
    assert None not in body.values()
    assert [body] == await page(client, "/connections")


async def test_connections_come_twenty_at_a_time_in_no_order(
    client: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection
) -> None:
    made = [connection.connection_id]
    made += [sandbox.world.add_connection(connection.workspace_id).connection_id for _ in range(24)]
    first = [row["connectionId"] for row in await page(client, "/connections")]
    rest = [row["connectionId"] for row in await page(client, "/connections", offset=20)]

    assert (len(first), len(rest)) == (20, 5)
    assert sorted(first + rest) == sorted(made)
    assert first != made[:20]


async def test_lists_can_change_their_order_between_two_pages(
    client: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection
) -> None:
    for _ in range(24):
        sandbox.world.add_connection(connection.workspace_id)
    sandbox.faults.unordered = True

    assert await page(client, "/connections") != await page(client, "/connections")
    assert await page(client, "/sources") != await page(client, "/sources")


async def test_removed_connections_are_listed_on_demand_and_stay_readable(
    client: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection
) -> None:
    sandbox.world.remove_connection(connection.connection_id)

    assert await page(client, "/connections") == []
    assert [row["status"] for row in await page(client, "/connections", includeDeleted="true")] == ["deprecated"]
    assert (await client.get(f"/connections/{connection.connection_id}")).json()["status"] == "deprecated"


async def test_lists_narrow_to_workspaces(client: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection) -> None:
    other = sandbox.world.add_connection(sandbox.world.add_workspace("Globex").workspace_id)

    for path, key, value in (
        ("/connections", "connectionId", other.connection_id),
        ("/sources", "sourceId", other.source_id),
        ("/destinations", "destinationId", other.destination_id),
        ("/workspaces", "workspaceId", other.workspace_id),
    ):
        assert [row[key] for row in await page(client, path, workspaceIds=other.workspace_id)] == [value]
        assert len(await page(client, path)) == 2


@pytest.mark.parametrize("noun", ["connections", "workspaces", "sources", "destinations"])
async def test_next_begins_with_deleted_ones_and_is_there_on_every_page_with_a_row(
    client: httpx2.AsyncClient, connection: Connection, noun: str
) -> None:
    base = f"http://localhost:8001/api/public/v1/{noun}"
    plain = (await client.get(f"/{noun}")).json()
    asked = {"workspaceIds": connection.workspace_id, "includeDeleted": "true"}
    narrowed = (await client.get(f"/{noun}", params=asked)).json()
    empty = (await client.get(f"/{noun}", params={"offset": 5})).json()

    assert plain["next"] == f"{base}?includeDeleted=false&limit=20&offset=20"
    assert narrowed["next"] == f"{base}?includeDeleted=true&workspaceIds={connection.workspace_id}&limit=20&offset=20"
    assert (empty["data"], empty["next"]) == ([], "")
    assert empty["previous"] == f"{base}?includeDeleted=false&limit=20&offset=0"


async def test_a_source_tells_its_type_and_leaks_its_configuration(
    client: httpx2.AsyncClient, connection: Connection
) -> None:
    body = (await client.get(f"/sources/{connection.source_id}")).json()

    assert (body["sourceType"], body["name"]) == ("shopify", "Shopify")
    assert body["configuration"]["credentials"] == {"auth_method": "api_password", "api_password": "**********"}
    assert body["configuration"]["shop"] == "acme-store"


async def test_a_custom_source_has_an_empty_type(
    client: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection
) -> None:
    custom = sandbox.world.add_connection(connection.workspace_id, "")

    assert (await client.get(f"/sources/{custom.source_id}")).json()["sourceType"] == ""


async def test_destinations_and_workspaces_are_readable_by_id(
    client: httpx2.AsyncClient, connection: Connection
) -> None:
    destination = (await client.get(f"/destinations/{connection.destination_id}")).json()
    workspace = (await client.get(f"/workspaces/{connection.workspace_id}")).json()

    assert destination["destinationType"] == "bigquery"
    assert workspace["name"] == "Acme Inc"


@pytest.mark.parametrize("noun", ["connection", "source", "destination", "workspace"])
async def test_an_unknown_id_is_a_404_and_a_malformed_one_a_500(client: httpx2.AsyncClient, noun: str) -> None:
    unknown = await client.get(f"/{noun}s/{UNKNOWN}")
    malformed = await client.get(f"/{noun}s/not-a-uuid")

    assert (unknown.status_code, unknown.json()["title"]) == (404, "resource-not-found")
    assert unknown.json()["data"] == {"resourceType": noun, "resourceId": UNKNOWN}
    assert (malformed.status_code, list(malformed.json())) == (500, ["errorId"])
