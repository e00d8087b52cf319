"""Answers of the compatible API against Airbyte's own documents, which are not part of this project."""

import httpx2
import pytest

from gateway.web.compatible_paths import PUBLIC_API
from tests.airbyte_compat.support import Tenant
from tests.airbyte_documents import assert_valid, needs_documents
from tests.support import World

pytestmark = needs_documents


def has_null(value: object) -> bool:
    if isinstance(value, dict):
        return any(has_null(each) for each in value.values())
    return any(map(has_null, value)) if isinstance(value, list) else value is None


async def valid(answer: httpx2.Response, schema: str, *, document: str = "jobs") -> dict[str, object]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    body: dict[str, object] = answer.json()
    assert_valid(document, schema, body)
    assert not has_null(body)
    return body


@pytest.mark.parametrize("noun", ["Workspace", "Connection", "Source", "Destination"])
async def test_what_there_is(acme: Tenant, noun: str) -> None:
    document = "connections" if noun == "Connection" else "jobs"
    path = f"/{noun.lower()}s"
    page = await valid(await acme.get(path), f"{noun}sResponse", document=document)
    assert isinstance(page["data"], list)
    (row,) = page["data"]
    await valid(await acme.get(f"{path}/{row[f'{noun.lower()}Id']}"), f"{noun}Response", document=document)


async def test_jobs_from_their_beginning_to_their_end(world: World, acme: Tenant) -> None:
    job_id = (await valid(await acme.trigger(), "JobResponse"))["jobId"]
    seen = []
    for _ in range(6):
        world.clock.advance(2.0)
        seen.append((await valid(await acme.get(f"/jobs/{job_id}"), "JobResponse"))["status"])
        await valid(await acme.get("/jobs"), "JobsResponse")
    await valid(await acme.call("DELETE", f"/jobs/{job_id}"), "JobResponse")

    assert seen[0] == "running"
    assert seen[-1] == "succeeded"


async def test_tokens(world: World, acme: Tenant) -> None:
    credentials = {"client_id": acme.key.record.id, "client_secret": acme.key.text}

    answer = await world.http.post(f"{PUBLIC_API}/applications/token", json=credentials)

    await valid(answer, "PublicAccessTokenResponse", document="applications")
