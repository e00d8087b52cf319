"""One connection of a client: renaming, mapping, removing."""

import html
import re

import pytest

from gateway.sandbox.failures import CREDENTIALS_REFUSED
from tests.dashboard.admin.support import CONNECTIONS, airbyte_down, theirs, workspace
from tests.dashboard.support import followed, rows_of, signed_in, words
from tests.support import World, bearer


async def test_a_connection_is_renamed(world: World) -> None:
    key = await world.client_with_key("acme")
    connection, _ = await world.mapped_connection()
    admin = await signed_in(world, None)

    answer = await admin.post(f"{CONNECTIONS}/{connection}/rename", data={"label": "Web shop"})
    refused = await admin.post(f"{CONNECTIONS}/{connection}/rename", data={"label": "\u200b"})

    listed = (await world.http.get("/api/v1/connections", headers=bearer(key))).json()["data"]
    assert answer.headers["location"].endswith(f"{connection}?done=renamed")
    assert [row["label"] for row in listed] == ["Web shop"]
    assert refused.status_code == 400


async def test_a_vanished_one_is_mapped_to_one_that_nobody_has(world: World) -> None:
    key = await world.client_with_key("acme")
    connection, old = await world.mapped_connection()
    _, taken = await world.mapped_connection()
    place = next(iter(world.sandbox.world.workspaces))
    new = theirs(world, place, "Replacement → Warehouse")
    world.sandbox.world.remove_connection(old)
    admin = await signed_in(world, None)

    page = await admin.get(f"{CONNECTIONS}/{connection}")
    answer = await admin.post(f"{CONNECTIONS}/{connection}/map", data={"airbyte_id": new})

    synced = await world.http.post(f"/api/v1/connections/{connection}/sync", headers=bearer(key))
    assert "Replacement → Warehouse" in words(page)
    assert f'value="{new}"' in page.text
    assert f'value="{taken}"' not in page.text
    assert answer.headers["location"].endswith(f"{connection}?done=mapped")
    assert synced.json()["job"]["connectionId"] == new


async def test_it_says_that_what_it_is_mapped_to_is_gone(world: World) -> None:
    await world.client_with_key("acme")
    connection, old = await world.mapped_connection()
    world.sandbox.world.remove_connection(old)
    admin = await signed_in(world, None)
    await admin.get(CONNECTIONS)

    answer = await admin.get(f"{CONNECTIONS}/{connection}")

    assert "This connection was deleted in Airbyte" in words(answer)


async def test_a_mapping_that_is_taken_is_refused(world: World) -> None:
    await world.client_with_key("acme")
    await world.client_with_key("globex")
    _, taken = await world.mapped_connection("acme")
    connection, own = await world.mapped_connection("globex")
    admin = await signed_in(world, None)

    answer = await admin.post(f"{CONNECTIONS}/{connection}/map", data={"airbyte_id": taken})

    assert answer.status_code == 400
    assert f"The Airbyte connection {taken} is already mapped to a connection" in words(answer)
    assert (await world.services.store.connections.any_by_id(connection)).airbyte_id == own


async def test_mapping_needs_no_airbyte(world: World) -> None:
    await world.client_with_key("acme")
    connection = (
        await world.services.connections.add("acme", connector_type="shopify", label="Later", airbyte_id=None)
    ).connection
    new = theirs(world, workspace(world), "New")
    admin = await signed_in(world, None)
    airbyte_down(world)

    page = await admin.get(f"{CONNECTIONS}/{connection.id}")
    answer = await admin.post(f"{CONNECTIONS}/{connection.id}/map", data={"airbyte_id": new})

    assert page.status_code == 200
    assert "cannot be read" in words(page)
    assert answer.headers["location"].endswith("?done=unchecked")


async def test_a_connection_is_removed(world: World) -> None:
    key = await world.client_with_key("acme")
    connection, _ = await world.mapped_connection()
    admin = await signed_in(world, None)
    asked = await admin.get(f"{CONNECTIONS}/{connection}")

    answer = await admin.post(f"{CONNECTIONS}/{connection}/remove", data={})

    gone = await world.http.post(f"/api/v1/connections/{connection}/sync", headers=bearer(key))
    assert "From the next request on, its id gets 404" in words(asked)
    assert answer.headers["location"].endswith("of-clients?done=removed")
    assert gone.status_code == 404


@pytest.mark.parametrize("action", ["rename", "map", "remove", "sync"])
async def test_an_unknown_connection_is_not_found(world: World, action: str) -> None:
    admin = await signed_in(world, None)

    assert (await admin.get(f"{CONNECTIONS}/conn_0000000000000000")).status_code == 404
    assert (await admin.post(f"{CONNECTIONS}/conn_0000000000000000/{action}", data={})).status_code == 404


def add_jobs(world: World, airbyte_id: str, number: int, status: str = "succeeded") -> list[str]:
    """Return the ids, newest first."""
    now = world.clock.now().timestamp()
    failures = (CREDENTIALS_REFUSED,) if status == "failed" else ()
    jobs = [
        world.sandbox.world.add_job(
            airbyte_id,
            status=status,  # type: ignore[arg-type]  # one of its words
            created_at=now - 600 * ago,
            duration_seconds=90,
            rows=1_000,
            failures=failures,
        )
        for ago in range(number, 0, -1)
    ]
    return [str(job.job_id) for job in reversed(jobs)]


def listed(page: str) -> list[str]:
    return [row[0] for row in rows_of(page.partition('id="history"')[2].partition("</section>")[0])]


async def test_the_operator_sees_the_jobs_with_their_reasons_charts_and_the_way_into_airbyte(world: World) -> None:
    await world.client_with_key("acme")
    connection, airbyte_id = await world.mapped_connection()
    good, bad = add_jobs(world, airbyte_id, 2), add_jobs(world, airbyte_id, 1, "failed")
    running = world.sandbox.world.add_job(airbyte_id, status="running").job_id
    admin = await signed_in(world, None)

    page = await admin.get(f"{CONNECTIONS}/{connection}")

    assert set(listed(page.text)) == {str(running), *good, *bad}
    (reason,) = [row[-1] for row in rows_of(page.text) if row[0] == bad[0]]
    assert "password authentication failed" in reason
    assert "Over time" in words(page)
    assert f"Job {running}" in words(page)
    assert 'data-live="5"' in page.text
    place = next(iter(world.sandbox.world.workspaces))
    assert f'href="http://airbyte/workspaces/{place}/connections/{airbyte_id}"' in page.text


async def test_the_operator_pages_through_the_jobs_and_filters_them_without_the_client_s_tokens(world: World) -> None:
    await world.client_with_key("acme")
    connection, airbyte_id = await world.mapped_connection()
    ids = add_jobs(world, airbyte_id, 45)
    await world.services.clients.update(
        "acme", name="Acme", plan="free", rate=None, rate_total="1/3600", most_keys=None
    )
    admin = await signed_in(world, None)
    seen: list[str] = []
    path: str | None = f"{CONNECTIONS}/{connection}"

    while path is not None:
        page = await admin.get(path)
        seen += listed(page.text)
        links = re.findall(r'<a rel="next" href="([^"]*cursor[^"]*)"', page.text)
        path = str(page.url.join(html.unescape(links[0]))) if links else None

    assert seen == ids
    assert listed((await admin.get(f"{CONNECTIONS}/{connection}?status=failed")).text) == []
    assert (await admin.get(f"{CONNECTIONS}/{connection}?status=broken")).status_code == 400
    assert (await admin.get(f"{CONNECTIONS}/{connection}?cursor=20.5")).status_code == 404
    assert (await admin.get(f"{CONNECTIONS}/{connection}?cursor=here")).status_code == 400


async def test_the_operator_starts_a_sync_once_and_the_activity_tells_who_did(world: World) -> None:
    await world.client_with_key("acme")
    connection, airbyte_id = await world.mapped_connection()
    admin = await signed_in(world, None)

    pages = [await followed(admin, await admin.post(f"{CONNECTIONS}/{connection}/sync", data={})) for _ in range(2)]

    (job_id,) = world.jobs_of(airbyte_id)
    assert f"Sync job {job_id} has started." in words(pages[0])
    assert f"A sync was already pending or running: job {job_id}." in words(pages[1])
    client = await world.services.store.clients.by_slug("acme")
    entries = await world.services.store.activity.of_client(client.id, limit=10)
    assert [entry.actor for entry in entries if entry.action == "sync.trigger"] == ["admin@example.com"] * 2


async def test_a_sync_that_the_operator_cannot_start_says_why(world: World) -> None:
    await world.client_with_key("acme")
    connection, _ = await world.mapped_connection()
    later = await world.services.connections.add("acme", connector_type="shopify", label="Later", airbyte_id=None)
    admin = await signed_in(world, None)
    unmapped = await admin.post(f"{CONNECTIONS}/{later.connection.id}/sync", data={})
    airbyte_down(world)

    down = await admin.post(f"{CONNECTIONS}/{connection}/sync", data={})

    assert (unmapped.status_code, down.status_code) == (400, 504)
    assert "Connection has no Airbyte mapping. No sync was started." in words(unmapped)
    assert "Airbyte did not say whether a sync has started." in words(down)
    assert "so the job history cannot be shown now" in words(down)
