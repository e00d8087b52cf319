"""A form that is sent twice, at once or later, makes one thing; the second answer leads to it."""

import asyncio
import re
from collections.abc import Mapping

import httpx2
import pytest

from gateway.airbyte.in_process import in_process
from gateway.app import create_app
from gateway.auth.keys import PATTERN
from gateway.dashboard.idempotent_forms import TOKEN_FIELD
from gateway.limiter.call_limiter import NEW_KEYS
from gateway.models import ApiKey
from gateway.services import build_services
from tests.dashboard.support import browser, followed, give_session, plain, session_of, signed_in
from tests.support import World

MEMBERS_KEYS = "/dashboard/settings/api-keys"
CLIENT = "/dashboard/admin/clients/acme"
ADMINS_KEYS = f"{CLIENT}/api-keys"
CONNECTIONS = "/dashboard/admin/connections"
USERS = "/dashboard/admin/users"
NEW_KEY = {"name": "nightly", "scope": "full", "expires": "never", "date": ""}
LINK = r"/dashboard/link/[0-9A-Za-z]+"
SHOWN_ONCE = "It was shown once and cannot be shown again"


@pytest.fixture(autouse=True)
async def acme(world: World) -> None:
    await world.services.clients.add(slug="acme", name="Acme", plan="free")


async def token_in(visitor: httpx2.AsyncClient, page: str) -> str:
    """Of the form on the page that creates something."""
    (token,) = re.findall(f'name="{TOKEN_FIELD}" value="([^"]+)"', (await visitor.get(page)).text)
    return str(token)


async def sent_twice(visitor: httpx2.AsyncClient, path: str, data: Mapping[str, str]) -> list[httpx2.Response]:
    """Both at the same time."""
    return await asyncio.gather(*(visitor.post(path, data=dict(data)) for _ in range(2)))


async def keys(world: World) -> list[ApiKey]:
    return await world.services.store.api_keys.of_client(1)


def secrets_in(*pages: httpx2.Response) -> set[str]:
    return {match[0] for page in pages for match in re.finditer(PATTERN, page.text)}


@pytest.mark.parametrize(("slug", "path"), [("acme", MEMBERS_KEYS), (None, ADMINS_KEYS)], ids=["member", "admin"])
async def test_one_key_is_made_and_shown(world: World, slug: str | None, path: str) -> None:
    visitor = await signed_in(world, slug)
    form = NEW_KEY | {TOKEN_FIELD: await token_in(visitor, path)}

    answers = await sent_twice(visitor, path, form)
    later = await visitor.post(path, data=form)

    (key,) = await keys(world)
    assert sorted(answer.status_code for answer in answers) == [200, 303]
    (secret,) = secrets_in(*answers)
    called = await world.http.get("/api/v1/status", headers={"Authorization": f"Bearer {secret}"})
    assert called.status_code == 200
    for repeated in (*(answer for answer in answers if answer.status_code == 303), later):
        page = await followed(visitor, repeated)
        assert key.start in page.text
        assert SHOWN_ONCE in plain(page.text)
        assert "If you did not copy it, rotate it below" in plain(page.text)
        assert secrets_in(page) == set()


async def test_a_form_that_made_the_hour_s_last_key_leads_to_it_when_it_comes_again(world: World) -> None:
    visitor = await signed_in(world, "acme")
    for _ in range(NEW_KEYS.requests - 1):
        assert (await world.services.limiter.take_new_key(1)).allowed
    form = NEW_KEY | {TOKEN_FIELD: await token_in(visitor, MEMBERS_KEYS)}

    made = await visitor.post(MEMBERS_KEYS, data=form)
    repeated = await visitor.post(MEMBERS_KEYS, data=form)
    refused = await visitor.post(MEMBERS_KEYS, data=NEW_KEY)

    assert [answer.status_code for answer in (made, repeated, refused)] == [200, 303, 429]


async def test_one_successor_is_made_and_shown(world: World) -> None:
    visitor = await signed_in(world, "acme")
    old = (await world.key()).record
    path = f"{MEMBERS_KEYS}/{old.id}"

    answers = await sent_twice(visitor, f"{path}/rotate", {"overlap": "1h", TOKEN_FIELD: await token_in(visitor, path)})

    _, successor = await keys(world)
    shown, repeated = sorted(answers, key=lambda answer: answer.status_code)
    page = await followed(visitor, repeated)
    assert len(secrets_in(shown)) == 1
    assert f"{successor.start} full scope" in plain(page.text)
    assert SHOWN_ONCE in plain(page.text)
    assert secrets_in(page) == set()


async def test_a_key_that_was_revoked_before_the_form_came_again_is_not_offered_for_rotation(world: World) -> None:
    visitor = await signed_in(world, "acme")
    form = NEW_KEY | {TOKEN_FIELD: await token_in(visitor, MEMBERS_KEYS)}
    await visitor.post(MEMBERS_KEYS, data=form)
    await visitor.post(f"{MEMBERS_KEYS}/{(await keys(world))[0].id}/revoke", data={})

    page = await followed(visitor, await visitor.post(MEMBERS_KEYS, data=form))

    assert "If you did not copy it, create a new key." in plain(page.text)


async def test_one_unmapped_connection_is_added(world: World) -> None:
    admin = await signed_in(world, None)
    form = {"label": "Shop", "connector_type": "shopify", TOKEN_FIELD: await token_in(admin, CLIENT)}

    answers = await sent_twice(admin, f"{CLIENT}/connections", form)

    (connection,) = await world.services.store.connections.all()
    assert (connection.label, connection.mapping) == ("Shop", "unmapped")
    for answer in answers:
        assert answer.headers["location"].endswith(f"{CONNECTIONS[1:]}/{connection.id}?done=added")
    assert "This connection is not mapped yet" in (await followed(admin, answers[1])).text
    entries = await world.services.store.activity.of_client(1, limit=9)
    assert [entry.actor for entry in entries if entry.action == "connection.create"] == ["admin@example.com"]


async def test_what_cannot_be_added_is_kept_in_the_form(world: World) -> None:
    admin = await signed_in(world, None)
    form = {"label": "Shop", "connector_type": "Bad Type", TOKEN_FIELD: await token_in(admin, CLIENT)}

    answer = await admin.post(f"{CLIENT}/connections", data=form)

    assert answer.status_code == 400
    assert "The connector type must be" in answer.text
    assert 'value="Bad Type"' in answer.text
    assert await world.services.store.connections.all() == []


async def test_connections_of_airbyte_s_are_assigned_once(world: World) -> None:
    admin = await signed_in(world, None)
    workspace = world.sandbox.world.add_workspace("Work").workspace_id
    form = {"client": "acme"}
    for label in ("One", "Two"):
        theirs = world.sandbox.world.add_connection(workspace).connection_id
        form |= {f"tick-{theirs}": "1", f"label-{theirs}": label, f"type-{theirs}": "shopify"}
    form[TOKEN_FIELD] = await token_in(admin, CONNECTIONS)

    answers = [*await sent_twice(admin, CONNECTIONS, form), await admin.post(CONNECTIONS, data=form)]

    assert [answer.headers["location"].rpartition("?")[2] for answer in answers] == ["done=assigned"] * 3
    assert sorted(each.label for each in await world.services.store.connections.all()) == ["One", "Two"]


async def test_one_person_is_invited(world: World) -> None:
    admin = await signed_in(world, None)
    form = {"email": "ann@acme.example", "client": "acme", TOKEN_FIELD: await token_in(admin, USERS)}

    answers = await sent_twice(admin, USERS, form)

    shown, repeated = sorted(answers, key=lambda answer: answer.status_code)
    page = await followed(admin, repeated)
    (path,) = re.findall(LINK, shown.text)
    assert "ann@acme.example" in (await browser(world).get(path)).text
    assert SHOWN_ONCE in plain(page.text)
    assert re.findall(LINK, page.text) == []


async def test_one_client_is_created(world: World) -> None:
    admin = await signed_in(world, None)

    answers = await sent_twice(admin, "/dashboard/admin/clients", {"name": "Globex", "slug": "globex", "plan": "free"})

    assert {answer.headers["location"].rpartition("/")[2] for answer in answers} == {
        "globex?done=created",
        "globex?done=known",
    }
    assert len(await world.services.store.clients.all()) == 2


async def test_a_restart_between_changes_nothing(world: World) -> None:
    visitor = await signed_in(world, "acme")
    form = NEW_KEY | {TOKEN_FIELD: await token_in(visitor, MEMBERS_KEYS)}
    await visitor.post(MEMBERS_KEYS, data=form)
    connect = in_process(world.sandbox.app)
    services = build_services(world.services.settings, world.clock, connect=connect)
    app = create_app(services)
    next_process = World(world.clock, world.sandbox, services, app, world.http)

    async with app.router.lifespan_context(app):
        same_visitor = browser(next_process)
        await give_session(world, same_visitor, session_of(visitor))
        page = await followed(same_visitor, await same_visitor.post(MEMBERS_KEYS, data=form))

    assert len(await keys(world)) == 1
    assert SHOWN_ONCE in plain(page.text)
    assert "cannot be shown again" in plain(page.text)


async def test_another_form_or_another_person_makes_another_key(world: World) -> None:
    ann, bob = await signed_in(world, "acme", "ann@acme.example"), await signed_in(world, "acme", "bob@acme.example")
    form = NEW_KEY | {TOKEN_FIELD: await token_in(ann, MEMBERS_KEYS)}

    await ann.post(MEMBERS_KEYS, data=form)
    await ann.post(MEMBERS_KEYS, data=form | {"name": "weekly"})
    await ann.post(MEMBERS_KEYS, data=form | {TOKEN_FIELD: await token_in(ann, MEMBERS_KEYS)})
    await bob.post(MEMBERS_KEYS, data=form)

    assert [key.name for key in await keys(world)] == ["nightly", "weekly", "nightly", "nightly"]
    assert len({key.id for key in await keys(world)}) == 4


async def test_what_was_refused_once_may_be_tried_again(world: World) -> None:
    visitor = await signed_in(world, "acme")
    form = NEW_KEY | {TOKEN_FIELD: await token_in(visitor, MEMBERS_KEYS), "expires": "date", "date": "2026-03-01"}

    refused = await visitor.post(MEMBERS_KEYS, data=form)

    assert refused.status_code == 400
    assert (await visitor.post(MEMBERS_KEYS, data=form | {"date": "2026-05-01"})).status_code == 200
