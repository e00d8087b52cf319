"""What holds for several calls at once: words, slashes, counting, notes of who did what."""

import pytest

from gateway.app import COMPATIBLE
from gateway.web.compatible_paths import PUBLIC_API
from tests.airbyte_compat.support import Tenant
from tests.support import World, bearer

RUNS_AFTER = 2.0


def has_null(value: object) -> bool:
    if isinstance(value, dict):
        return any(has_null(each) for each in value.values())
    return any(map(has_null, value)) if isinstance(value, list) else value is None


async def body_of(path: str, acme: Tenant) -> dict[str, object]:
    (workspace,) = (await acme.get("/workspaces")).json()["data"]
    return {
        "connectionId": acme.airbyte_id,
        "connectionIds": [acme.airbyte_id],
        "workspaceId": workspace["workspaceId"],
        "id": await acme.new_job(),
        "configId": acme.airbyte_id,
        "jobType": "sync",
        "client_id": acme.key.record.id,
        "client_secret": acme.key.text,
    } | ({} if path != "/api/v1/jobs/list" else {"configTypes": ["sync"]})


CALLS = [
    (method, route.template)
    for route in COMPATIBLE.routes
    if "{" not in route.template
    for method in route.methods & {"GET", "POST"}
]


@pytest.mark.parametrize(("method", "template"), CALLS)
async def test_a_slash_more_changes_nothing_nobody_is_sent_elsewhere_and_nothing_is_null(
    acme: Tenant, method: str, template: str
) -> None:
    body = await body_of(template, acme)
    content = body if method == "POST" else None
    plain, slashed = [
        await acme.world.http.request(method, template + slash, headers=bearer(acme.key), json=content)
        for slash in ("", "/")
    ]

    assert plain.status_code == slashed.status_code == 200, plain.text
    assert plain.content == slashed.content
    if not template.endswith("public/v1/health"):
        assert not has_null(plain.json())


async def test_queued_and_locked_are_shown_by_no_call(world: World, acme: Tenant) -> None:
    world.sandbox.faults.capacity_exhausted = True
    job_id = await acme.new_job()
    world.sandbox.world.set_connection_status(acme.airbyte_id, "locked")

    lists = [
        await acme.get("/jobs"),
        await acme.get("/jobs?status=pending"),
        await acme.get(f"/jobs?connectionId={acme.airbyte_id}&status=pending"),
        await acme.config("/jobs/list", configId=acme.airbyte_id, configTypes=["sync"], statuses=["pending"]),
        await acme.get(f"/jobs/{job_id}"),
        await acme.config("/jobs/get", id=job_id),
        await acme.config("/connections/get", connectionId=acme.airbyte_id),
        await acme.get(f"/connections/{acme.airbyte_id}"),
    ]

    for answer in lists:
        assert answer.status_code == 200, answer.text
        assert "queued" not in answer.text
        assert "locked" not in answer.text
    for answer in lists[:6]:
        assert str(job_id) in answer.text
        assert "pending" in answer.text


async def test_calls_are_counted_and_syncs_and_cancels_noted_as_in_our_own_api(world: World, acme: Tenant) -> None:
    agent = {"User-Agent": "dagster"}
    job_id = (
        await world.http.post(
            f"{PUBLIC_API}/jobs", headers=bearer(acme.key) | agent, json={"connectionId": acme.airbyte_id}
        )
    ).json()["jobId"]
    world.clock.advance(RUNS_AFTER + 1)
    await acme.call("DELETE", f"/jobs/{job_id}")
    await acme.get("/tags")
    await world.services.store.usage.flush()

    fetch = world.services.store.database.fetch_all
    calls = await fetch("SELECT sum(calls) AS calls FROM key_usage")
    (key,) = await fetch("SELECT last_used_agent FROM api_keys")
    triggers = await fetch("SELECT job_id, caller FROM triggers")
    cancels = await fetch("SELECT job_id, caller FROM cancellations")
    assert calls[0]["calls"] == 3
    assert key["last_used_agent"] == "dagster"
    assert [(row["job_id"], row["caller"]) for row in (*triggers, *cancels)] == [(job_id, acme.key.record.id)] * 2
