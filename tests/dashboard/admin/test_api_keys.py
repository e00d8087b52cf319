"""The operator's pages about a client's keys, through HTTP as a browser asks."""

import re

import httpx2
import pytest

from gateway.auth.keys import PATTERN
from tests.dashboard.support import followed, plain, signed_in
from tests.provisioning.support import NOW
from tests.support import World, bearer

KEYS = "/dashboard/admin/clients/acme/api-keys"
ACME = 1


@pytest.fixture
async def admin(world: World) -> httpx2.AsyncClient:
    """The operator's browser; there is a client `acme`."""
    await world.services.clients.add(slug="acme", name="Acme", plan="free")
    return await signed_in(world, None, "op@agency.example")


async def create(visitor: httpx2.AsyncClient, **fields: str) -> httpx2.Response:
    form = {"name": "loader", "scope": "full", "expires": "never", "date": "", "rate": ""} | fields
    return await visitor.post(KEYS, data=form)


def secret_in(page: httpx2.Response) -> str:
    (secret,) = {match[0] for match in re.finditer(PATTERN, page.text)}
    return secret


async def called(world: World, secret: str) -> httpx2.Response:
    return await world.http.get("/api/v1/status", headers={"Authorization": f"Bearer {secret}"})


async def test_a_key_for_the_client_is_shown_once_and_works(world: World, admin: httpx2.AsyncClient) -> None:
    shown = await create(admin, rate="7/60", expires="30d", scope="read")
    (key,) = await world.services.store.api_keys.of_client(ACME)
    again = await admin.get(f"{KEYS}/{key.id}")

    answer = await called(world, secret_in(shown))
    assert (answer.status_code, answer.json()["client"]["slug"]) == (200, "acme")
    assert answer.headers["RateLimit-Policy"] == '"default";q=7;w=60'
    assert (key.name, key.scope, key.expires_at) == ("loader", "read", "2026-05-01T03:00:00.000Z")
    assert re.search(PATTERN, again.text) is None
    assert f"{key.start} read-only" in plain(again.text)


async def test_a_key_is_rotated_and_revoked(world: World, admin: httpx2.AsyncClient) -> None:
    old = secret_in(await create(admin))
    (key,) = await world.services.store.api_keys.of_client(ACME)

    new = secret_in(await admin.post(f"{KEYS}/{key.id}/rotate", data={"overlap": "1h"}))
    both = [(await called(world, secret)).status_code for secret in (old, new)]
    revoked = await followed(admin, await admin.post(f"{KEYS}/{key.id}/revoke", data={}))

    assert both == [200, 200]
    assert "The key is revoked" in revoked.text
    assert [(await called(world, secret)).status_code for secret in (old, new)] == [401, 200]


async def test_the_activity_log_says_it_was_the_operator(world: World, admin: httpx2.AsyncClient) -> None:
    await create(admin)
    (key,) = await world.services.store.api_keys.of_client(ACME)
    await admin.post(f"{KEYS}/{key.id}/rotate", data={"overlap": "1h"})
    await admin.post(f"{KEYS}/{key.id}/revoke", data={})

    entries = await world.services.store.activity.of_client(ACME, limit=3)

    assert [(entry.actor, entry.action, entry.by_operator) for entry in entries] == [
        ("op@agency.example", f"key.{action}", True) for action in ("revoke", "rotate", "create")
    ]
    member = await signed_in(world, "acme")
    assert "op@agency.example" not in (await member.get("/dashboard/activity")).text


async def test_another_client_s_key_is_not_found_here(world: World, admin: httpx2.AsyncClient) -> None:
    theirs = await world.client_with_key("globex")

    shown = await admin.get(f"{KEYS}/{theirs.record.id}")
    rotated = await admin.post(f"{KEYS}/{theirs.record.id}/rotate", data={"overlap": "0s"})
    revoked = await admin.post(f"{KEYS}/{theirs.record.id}/revoke", data={})

    assert [answer.status_code for answer in (shown, rotated, revoked)] == [404, 404, 404]
    assert (await world.http.get("/api/v1/status", headers=bearer(theirs))).status_code == 200


async def test_what_cannot_be_used_is_refused_and_kept_in_the_form(world: World, admin: httpx2.AsyncClient) -> None:
    answer = await create(admin, name="typed", rate="lots")

    assert answer.status_code == 400
    assert "A rate is REQUESTS/SECONDS" in answer.text
    assert 'value="typed"' in answer.text
    assert 'value="lots"' in answer.text
    assert await world.services.store.api_keys.of_client(ACME) == []


async def test_a_member_gives_his_keys_no_rate(world: World, admin: httpx2.AsyncClient) -> None:
    member = await signed_in(world, "acme")
    keys = "/dashboard/settings/api-keys"

    page = await member.get(keys)
    await member.post(keys, data={"name": "n", "scope": "full", "expires": "never", "rate": "9999/1"})

    (key,) = await world.services.store.api_keys.of_client(ACME)
    assert key.rate is None
    assert 'name="rate"' not in page.text
    assert 'name="rate"' in (await admin.get(KEYS)).text


async def test_the_operator_raises_how_many_keys_of_a_client_work(world: World, admin: httpx2.AsyncClient) -> None:
    most = world.services.settings.keys.most_active
    for _ in range(most):
        await world.key()
    client = "/dashboard/admin/clients/acme/settings"

    refused = await create(admin)
    await admin.post(client, data={"name": "Acme", "plan": "free", "rate": "", "most_keys": f"{most + 1}"})
    raised = await admin.get(client)
    created = await create(admin)
    lowered = await admin.post(client, data={"name": "Acme", "plan": "free", "rate": "", "most_keys": "1"})

    assert [refused.status_code, created.status_code, lowered.status_code] == [400, 200, 303]
    assert f"{most} is the most" in refused.text
    assert f'name="most_keys" value="{most + 1}"' in raised.text
    assert (await world.services.store.totals.of_clients([ACME], now=NOW, calls_since=NOW))[ACME].keys == most + 1
