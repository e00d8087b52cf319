"""A member's link that an admin opens leads to the admin's page of the same thing."""

import httpx2
import pytest

from tests.dashboard.support import followed, signed_in
from tests.support import NEVER_OURS, World


@pytest.fixture
async def admin(world: World) -> httpx2.AsyncClient:
    await world.services.clients.add(slug="acme", name="Acme", plan="free")
    return await signed_in(world, None)


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("", ""),
        ("/usage", ""),
        ("/connections", "/connections/of-clients"),
        ("/connections?q=shop&done=x", "/connections/of-clients?q=shop"),
        ("/connections/volume", "/clients"),
        ("/connections/volume.csv", "/clients"),
        ("/connections/conn_1", "/connections/conn_1"),
        ("/connections/conn_1?status=failed", "/connections/conn_1?status=failed"),
        ("/connections/conn_1/jobs/12", "/connections/conn_1/jobs/12"),
        ("/connections/conn_1/jobs.csv", "/connections/conn_1/jobs.csv"),
        ("/activity", "/activity"),
        ("/settings/api-keys", ""),
    ],
)
async def test_each_address_leads_to_the_page_of_the_same_thing(
    admin: httpx2.AsyncClient, path: str, leads_to: str
) -> None:
    answer = await admin.get(f"/dashboard{path}")

    assert answer.status_code == 303
    assert str(answer.url.join(answer.headers["location"])) == f"https://{answer.url.host}/dashboard/admin{leads_to}"


async def test_a_connection_a_job_a_key_and_a_webhook_are_found(world: World, admin: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    added = await world.services.webhooks.endpoints.add("acme", url="https://a.example/hooks")
    webhook = added.record
    job = world.sandbox.world.add_job(theirs, status="succeeded").job_id
    key = (await world.key()).record

    pages = [
        await followed(admin, await admin.get(f"/dashboard/{path}"))
        for path in (
            f"connections/{ours}",
            f"connections/{ours}/jobs/{job}",
            f"settings/api-keys/{key.id}",
            f"settings/webhooks/{webhook.id}",
        )
    ]

    assert [page.status_code for page in pages] == [200, 200, 200, 200]
    assert str(pages[2].url).endswith(f"/dashboard/admin/clients/acme/api-keys/{key.id}")
    assert key.start in pages[2].text
    assert str(pages[3].url).endswith(f"/dashboard/admin/clients/acme/webhooks/{webhook.id}")
    assert webhook.url in pages[3].text


async def test_what_nobody_has_is_not_found(admin: httpx2.AsyncClient) -> None:
    connection = await followed(admin, await admin.get(f"/dashboard/connections/{NEVER_OURS}"))
    key = await admin.get("/dashboard/settings/api-keys/key_0000000000000000")
    webhook = await admin.get("/dashboard/settings/webhooks/whk_0000000000000000")

    assert (connection.status_code, key.status_code, webhook.status_code) == (404, 404, 404)


async def test_a_form_is_not_sent_on(world: World, admin: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()

    answer = await admin.post(f"/dashboard/connections/{ours}/sync", data={})

    assert answer.status_code == 303
    assert str(answer.url.join(answer.headers["location"])).endswith("/dashboard/admin")
    assert world.jobs_of(theirs) == []
