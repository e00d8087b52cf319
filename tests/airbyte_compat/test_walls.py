"""What one tenant sees of another: nothing, not even whether it is there."""

import re
from collections.abc import Iterator

import httpx2

from gateway.airbyte_compat.virtual_ids import VirtualIds
from gateway.errors import (
    CallNotServed,
    ConnectionNotFound,
    DestinationNotFound,
    JobNotFound,
    SourceNotFound,
    WorkspaceNotFound,
)
from gateway.models import Client
from gateway.web.compatible_paths import PUBLIC_API
from tests.airbyte_compat.support import NOBODYS, Tenant, assert_problem
from tests.support import quiet

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
CLIENT = Client(1, "acme", "Acme", "free", "2026-04-01T03:00:00.000Z")


async def row_of(tenant: Tenant) -> dict[str, str]:
    (row,) = (await tenant.get("/connections")).json()["data"]
    return dict(row)


async def everything(tenant: Tenant) -> list[httpx2.Response]:
    """All that there is to read, with what each list leads to."""
    row = await row_of(tenant)
    job_id = await tenant.new_job()
    paths = [
        "/workspaces",
        f"/workspaces/{row['workspaceId']}",
        "/connections",
        f"/connections/{tenant.airbyte_id}",
        "/sources",
        f"/sources/{row['sourceId']}",
        "/destinations",
        f"/destinations/{row['destinationId']}",
        "/jobs",
        f"/jobs?connectionId={tenant.airbyte_id}",
        f"/jobs/{job_id}",
    ]
    answers = [await tenant.get(path) for path in paths]
    for answer in answers:
        assert answer.status_code == 200, answer.text
    return answers


def uuids_in(answers: list[httpx2.Response]) -> set[str]:
    return {found for answer in answers for found in UUID.findall(answer.text)}


async def test_what_tenants_read_has_no_id_in_common_and_none_of_airbytes_but_their_connections(
    acme: Tenant, globex: Tenant
) -> None:
    theirs = [uuids_in(await everything(each)) for each in (acme, globex)]

    assert theirs[0] & theirs[1] == set()
    world = acme.world.sandbox.world
    inside = {*world.workspaces, *world.sources, *world.destinations}
    assert (theirs[0] | theirs[1]) & inside == set()
    assert theirs[0] & world.connections.keys() == {acme.airbyte_id}


async def test_unknown_and_foreign_ids_get_identical_bytes_and_airbyte_is_not_asked(
    acme: Tenant, globex: Tenant
) -> None:
    foreign = await row_of(globex)
    await row_of(acme)
    await quiet()
    sandbox = acme.world.sandbox
    sandbox.requests.clear()
    own_source = next(iter(sandbox.world.sources))
    for kind, error in (
        ("workspace", WorkspaceNotFound),
        ("connection", ConnectionNotFound),
        ("source", SourceNotFound),
        ("destination", DestinationNotFound),
    ):
        texts = (foreign[f"{kind}Id"], NOBODYS, own_source, "x", "0", "%00", "1-1-1-1-1")
        answers = [await acme.get(f"/{kind}s/{text}") for text in texts]
        for answer in answers:
            assert_problem(answer, 404, error.message)
        assert len({answer.content for answer in answers}) == 1
    for text in (globex.airbyte_id, NOBODYS, "x"):
        body = {"connectionId": text, "jobType": "sync"}
        assert_problem(await acme.call("POST", "/jobs", json=body), 404, ConnectionNotFound.message)
        assert_problem(await acme.get(f"/jobs?connectionId={text}"), 404, ConnectionNotFound.message)
    assert not sandbox.requests


async def test_unknown_and_foreign_jobs_get_identical_bytes_for_one_read_each(acme: Tenant, globex: Tenant) -> None:
    foreign = await globex.new_job()
    await quiet()
    acme.world.sandbox.requests.clear()
    answers = []
    for job_id in (foreign, 10**9, foreign, 10**9, "x", "-1", "1e3", "9" * 30):
        answers += [await acme.get(f"/jobs/{job_id}"), await acme.call("DELETE", f"/jobs/{job_id}")]

    for answer in answers:
        assert_problem(answer, 404, JobNotFound.message)
    assert len({answer.content for answer in answers}) == 1
    asked = [(each.method, each.path) for each in acme.world.sandbox.requests]
    assert asked == [("GET", f"{PUBLIC_API}/jobs/{job_id}") for job_id in (foreign, 10**9)]


async def test_that_there_is_no_such_job_is_forgotten_after_the_freshness(acme: Tenant) -> None:
    assert (await acme.get("/jobs/1")).status_code == 404
    await acme.trigger()
    acme.world.clock.advance(acme.world.services.settings.airbyte.freshness_seconds + 0.1)

    assert (await acme.get("/jobs/1")).json()["connectionId"] == acme.airbyte_id


async def test_a_connection_that_is_given_away_takes_its_jobs_along(acme: Tenant, globex: Tenant) -> None:
    job_id = await acme.new_job()
    services = acme.world.services
    await services.connections.remove(acme.connection_id)
    await services.connections.add("globex", connector_type="x", label="Moved", airbyte_id=acme.airbyte_id)

    assert_problem(await acme.get(f"/jobs/{job_id}"), 404, JobNotFound.message)
    assert (await acme.get("/jobs")).json()["data"] == []
    assert (await acme.get("/connections")).json()["data"] == []
    assert (await globex.get(f"/jobs/{job_id}")).status_code == 200


async def test_another_tenants_jobs_in_the_same_workspace_are_not_listed(acme: Tenant, globex: Tenant) -> None:
    foreign, own = await globex.new_job(), await acme.new_job()

    assert [row["jobId"] for row in (await acme.get("/jobs")).json()["data"]] == [own]
    assert [row["jobId"] for row in (await globex.get("/jobs")).json()["data"]] == [foreign]


async def test_what_is_not_served_is_refused_to_keys_and_unauthorized_to_others(acme: Tenant) -> None:
    calls = [
        ("GET", "/tags"),
        ("POST", "/connections"),
        ("PATCH", f"/connections/{acme.airbyte_id}"),
        ("PUT", "/anything"),
        ("GET", "/connections/x/y"),
        ("GET", ""),
        ("GET", "/"),
    ]
    for method, path in calls:
        answer = await acme.call(method, path)
        if answer.status_code != 405:
            assert_problem(answer, 403, CallNotServed.message)
        assert (await acme.world.http.request(method, PUBLIC_API + path)).status_code == 401
    for path in ("/web_backend/connections/get", "/workspaces/get_organization_info", "/state/get", "/sources/delete"):
        assert_problem(await acme.config(path), 403, CallNotServed.message)


def ids_of(**client: object) -> Iterator[str]:
    fields = {name: getattr(CLIENT, name) for name in CLIENT.__struct_fields__}
    ids = VirtualIds("installation", Client(**{**fields, **client}))
    yield ids.workspace
    yield ids.of("source", NOBODYS)
    yield ids.of("destination", NOBODYS)


def test_ids_stay_what_they_are_and_differ_by_client_and_kind() -> None:
    assert [*ids_of()] == [*ids_of(name="Renamed", slug="other", plan="pro")]
    others = [*ids_of(), *ids_of(id=2), *ids_of(created_at="2026-04-01T03:00:00.001Z")]
    assert len({each[:18] for each in others}) == len({each[19:] for each in others}) == 9  # by either half
    assert all(UUID.fullmatch(each) for each in others)
    assert VirtualIds("another", CLIENT).workspace not in others


def test_an_id_proves_whose_it_is() -> None:
    ids, others = VirtualIds("installation", CLIENT), VirtualIds("another", CLIENT)
    own = ids.of("source", NOBODYS)

    assert ids.is_own("source", own)
    assert not ids.is_own("destination", own)
    assert not others.is_own("source", own)
    assert not any(
        ids.is_own("source", text) for text in (NOBODYS, "", "é", own.upper(), own.replace("-", ""), f"{{{own}}}")
    )
