"""Organizations, users, permissions, tags, and the streams of a source."""

import httpx2
import pytest

from gateway.sandbox import Connection, Sandbox, Stream
from gateway.sandbox.organization import COMMUNITY_ID
from tests.sandbox.conftest import UNKNOWN


async def test_community_has_one_organization_with_one_user_who_may_do_everything(client: httpx2.AsyncClient) -> None:
    (organization,) = (await client.get("/organizations")).json()["data"]
    (user,) = (await client.get("/users", params={"organizationId": organization["organizationId"]})).json()["data"]
    (permission,) = (await client.get("/permissions", params={"userId": user["id"]})).json()["data"]

    assert (permission["permissionType"], permission["scope"]) == ("instance_admin", "none")
    assert (await client.get("/permissions")).json()["data"] == [permission]


async def test_users_narrow_by_id_and_address(client: httpx2.AsyncClient) -> None:
    async def found(**params: str) -> int:
        return len((await client.get("/users", params={"organizationId": COMMUNITY_ID, **params})).json()["data"])

    assert (await found(ids=COMMUNITY_ID), await found(ids=UNKNOWN)) == (1, 0)
    assert await found(emails="nobody@example.com") == 0
    assert (await client.get("/users")).status_code == 400
    assert (await client.get("/users", params={"organizationId": UNKNOWN})).status_code == 403


async def test_someone_elses_permissions_need_an_organization(client: httpx2.AsyncClient) -> None:
    refused = await client.get("/permissions", params={"userId": UNKNOWN})
    empty = await client.get("/permissions", params={"userId": UNKNOWN, "organizationId": COMMUNITY_ID})

    assert (refused.status_code, refused.json()["title"]) == (400, "bad-request")
    assert empty.json() == {"data": []}


async def test_tags_belong_to_a_workspace(client: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection) -> None:
    tag = sandbox.world.add_tag(connection.workspace_id, "finance")
    elsewhere = sandbox.world.add_workspace("Globex").workspace_id

    one = (await client.get(f"/tags/{tag.tag_id}")).json()
    assert (one["name"], one["workspaceId"]) == ("finance", connection.workspace_id)
    assert (await client.get("/tags")).json() == {"data": [one]}
    assert (await client.get("/tags", params={"workspaceIds": elsewhere})).json() == {"data": []}
    assert (await client.get(f"/tags/{UNKNOWN}")).status_code == 404
    assert (await client.get("/tags/x")).status_code == 400


async def test_streams_show_modes_only_with_a_destination(
    client: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection
) -> None:
    made = sandbox.world.add_connection(connection.workspace_id, streams=[Stream("deals", "crm"), Stream("stages")])
    params = {"sourceId": made.source_id}

    bare = (await client.get("/streams", params=params)).json()
    full = (await client.get("/streams", params={**params, "destinationId": made.destination_id})).json()

    assert [row["streamName"] for row in bare] == ["deals", "stages"]
    assert (bare[0]["streamnamespace"], bare[0]["propertyFields"]) == ("crm", [["id"], ["updated_at"]])
    assert "syncModes" not in bare[0]
    assert "incremental_deduped_history" in full[0]["syncModes"]


@pytest.mark.parametrize(("params", "status"), [({}, 400), ({"sourceId": UNKNOWN}, 404), ({"sourceId": "x"}, 500)])
async def test_streams_need_a_source(client: httpx2.AsyncClient, params: dict[str, str], status: int) -> None:
    assert (await client.get("/streams", params=params)).status_code == status


async def test_an_ordinary_user_gets_403_for_what_is_unknown(client: httpx2.AsyncClient, sandbox: Sandbox) -> None:
    sandbox.faults.user_mode = True

    assert (await client.get("/streams", params={"sourceId": UNKNOWN})).status_code == 403
    assert (await client.get("/tags", params={"workspaceIds": UNKNOWN})).status_code == 403
