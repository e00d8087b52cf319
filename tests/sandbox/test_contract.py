"""Real answers against Airbyte's own OpenAPI documents, which are not part of this project."""

import httpx2
import pytest

from gateway.sandbox import PUBLIC_API, Sandbox
from tests.airbyte_documents import assert_valid, needs_documents
from tests.sandbox.conftest import CREDENTIALS, Clock, connect

pytestmark = needs_documents


@pytest.fixture
def seeded(clock: Clock) -> httpx2.AsyncClient:
    client = connect(Sandbox(clock=clock, auth=False))
    client.base_url = httpx2.URL(f"http://airbyte{PUBLIC_API}")
    return client


async def test_job_answers_are_valid(seeded: httpx2.AsyncClient) -> None:
    async with seeded as client:
        page = (await client.get("/jobs", params={"limit": 100, "orderBy": "createdAt|DESC"})).json()
        assert_valid("jobs", "JobsResponse", page)
        assert len(page["data"]) == 100
        assert_valid("jobs", "JobResponse", (await client.get("/jobs/1")).json())
        statuses = set()
        for row in (await client.get("/connections")).json()["data"]:
            body = {"connectionId": row["connectionId"], "jobType": "sync"}
            answer = await client.post("/jobs", json=body)
            if answer.status_code == 200:
                assert_valid("jobs", "JobResponse", answer.json())
                statuses.add(answer.json()["status"])
        assert statuses == {"pending"}


async def test_connection_answers_are_valid(seeded: httpx2.AsyncClient) -> None:
    async with seeded as client:
        page = (await client.get("/connections")).json()
        assert_valid("connections", "ConnectionsResponse", page)
        one = await client.get(f"/connections/{page['data'][0]['connectionId']}")
        assert_valid("connections", "ConnectionResponse", one.json())


@pytest.mark.parametrize("noun", ["Source", "Destination", "Workspace"])
async def test_other_answers_are_valid(seeded: httpx2.AsyncClient, noun: str) -> None:
    async with seeded as client:
        page = (await client.get(f"/{noun.lower()}s")).json()
        assert_valid("jobs", f"{noun}sResponse", page)
        one = page["data"][0]
        assert_valid("jobs", f"{noun}Response", one)


async def test_the_answers_around_workspaces_are_valid(seeded: httpx2.AsyncClient) -> None:
    async with seeded as client:
        organizations = (await client.get("/organizations")).json()
        assert_valid("jobs", "OrganizationsResponse", organizations)
        asked = {"organizationId": organizations["data"][0]["organizationId"]}
        assert_valid("jobs", "UsersResponse", (await client.get("/users", params=asked)).json())
        assert_valid("jobs", "PermissionsResponse", (await client.get("/permissions")).json())
        tags = (await client.get("/tags")).json()
        assert_valid("jobs", "TagsResponse", tags)
        assert_valid("jobs", "TagResponse", (await client.get(f"/tags/{tags['data'][0]['tagId']}")).json())
        connection = (await client.get("/connections")).json()["data"][0]
        asked = {name: connection[name] for name in ("sourceId", "destinationId")}
        assert_valid("jobs", "StreamPropertiesResponse", (await client.get("/streams", params=asked)).json())


async def test_token_answers_are_valid(anonymous: httpx2.AsyncClient) -> None:
    answer = await anonymous.post(f"{PUBLIC_API}/applications/token", json=CREDENTIALS)

    assert_valid("applications", "PublicAccessTokenResponse", answer.json())


def test_the_documents_can_refuse() -> None:
    with pytest.raises(Exception, match="jobId"):
        assert_valid("jobs", "JobResponse", {"status": "running"})
