"""A form that is sent twice, at once or later, makes one thing; the second answer leads to it."""

import asyncio
import re
from collections.abc import Mapping

import httpx2
import pytest

from gateway.airbyte.client import in_process_transport
from gateway.app import create_app
from gateway.auth.keys import PATTERN
from gateway.dashboard.idempotent_forms import FIELD
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
TWICE = "The form was sent more than once"


@pytest.fixture(autouse=True)
async def acme(world: World) -> None:
    await world.provisioning.add_client(slug="acme", name="Acme", plan="free")


async def word_in(visitor: httpx2.AsyncClient, page: str) -> str:
    """Of the form on the page that makes something."""
    (word,) = re.findall(f'name="{FIELD}" value="([^"]+)"', (await visitor.get(page)).text)
    return str(word)


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
    form = NEW_KEY | {FIELD: await word_in(visitor, path)}

    answers = await sent_twice(visitor, path, form)
    later = await visitor.post(path, data=form)

    (key,) = await keys(world)
    assert {answer.status_code for answer in answers} == {303}
    (second,) = (answer for answer in answers if "done=before" in answer.headers["location"])
    # A browser that sent it twice shows what the second answer leads to.
    shown = await followed(visitor, second)
    (secret,) = secrets_in(shown)
    called = await world.http.get("/api/v1/status", headers={"Authorization": f"Bearer {secret}"})
    assert called.status_code == 200
    assert TWICE in plain(shown.text)
    again = await followed(visitor, later)
    assert key.start in again.text
    assert TWICE in plain(again.text)
    assert secrets_in(again) == set()


async def test_one_successor_is_made_and_shown(world: World) -> None:
    visitor = await signed_in(world, "acme")
    old = (await world.key()).record
    path = f"{MEMBERS_KEYS}/{old.id}"

    answers = await sent_twice(visitor, f"{path}/rotate", {"overlap": "1h", FIELD: await word_in(visitor, path)})

    assert {answer.status_code for answer in answers} == {303}
    _, successor = await keys(world)
    pages = [await followed(visitor, answer) for answer in answers]
    assert len(secrets_in(*pages)) == 1
    assert all(f"{successor.start} full scope" in plain(page.text) for page in pages)


async def test_one_unmapped_connection_is_added(world: World) -> None:
    admin = await signed_in(world, None)
    form = {"label": "Shop", "connector_type": "shopify", FIELD: await word_in(admin, CLIENT)}

    answers = await sent_twice(admin, f"{CLIENT}/connections", form)

    (connection,) = await world.services.store.connections.all()
    assert (connection.label, connection.mapping) == ("Shop", "unmapped")
    for answer in answers:
        assert answer.headers["location"].endswith(f"{CONNECTIONS[1:]}/{connection.id}?done=added")
    assert "It leads nowhere yet" in (await followed(admin, answers[1])).text
    entries = await world.services.store.activity.of_client(1, limit=9)
    assert [entry.actor for entry in entries if entry.action == "connection.create"] == ["admin@example.com"]


async def test_what_cannot_be_added_is_kept_in_the_form(world: World) -> None:
    admin = await signed_in(world, None)
    form = {"label": "Shop", "connector_type": "Bad Type", FIELD: await word_in(admin, CLIENT)}

    answer = await admin.post(f"{CLIENT}/connections", data=form)

    assert answer.status_code == 400
    assert "The connector type must be" in answer.text
    assert 'value="Bad Type"' in answer.text
    assert await world.services.store.connections.all() == []


async def test_connections_of_airbyte_s_are_given_once(world: World) -> None:
    admin = await signed_in(world, None)
    workspace = world.sandbox.world.add_workspace("Work").workspace_id
    form = {"client": "acme"}
    for label in ("One", "Two"):
        theirs = world.sandbox.world.add_connection(workspace).connection_id
        form |= {f"tick-{theirs}": "1", f"label-{theirs}": label, f"type-{theirs}": "shopify"}
    form[FIELD] = await word_in(admin, CONNECTIONS)

    answers = [*await sent_twice(admin, CONNECTIONS, form), await admin.post(CONNECTIONS, data=form)]

    assert [answer.headers["location"].rpartition("?")[2] for answer in answers] == ["done=given"] * 3
    assert sorted(each.label for each in await world.services.store.connections.all()) == ["One", "Two"]


async def test_one_person_is_invited(world: World) -> None:
    admin = await signed_in(world, None)
    form = {"email": "ann@acme.example", "client": "acme", FIELD: await word_in(admin, USERS)}

    answers = await sent_twice(admin, USERS, form)

    assert {answer.headers["location"].rpartition("?")[2] for answer in answers} == {"done=link"}
    page = await followed(admin, answers[1])
    (path,) = re.findall(r"/dashboard/link/[0-9A-Za-z]+", page.text)
    assert "ann@acme.example" in (await browser(world).get(path)).text


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
    form = NEW_KEY | {FIELD: await word_in(visitor, MEMBERS_KEYS)}
    await visitor.post(MEMBERS_KEYS, data=form)
    transport = in_process_transport(world.sandbox.app)
    services = build_services(world.services.settings, world.clock, transport=transport)
    app = create_app(services)
    next_process = World(world.clock, world.sandbox, services, app, services.provisioning, world.http)

    async with app.router.lifespan_context(app):
        same_visitor = browser(next_process)
        give_session(same_visitor, session_of(visitor))
        page = await followed(same_visitor, await same_visitor.post(MEMBERS_KEYS, data=form))

    assert len(await keys(world)) == 1
    assert TWICE in plain(page.text)
    assert "cannot be shown again" in plain(page.text)


async def test_another_form_or_another_person_makes_another_key(world: World) -> None:
    ann, bob = await signed_in(world, "acme", "ann@acme.example"), await signed_in(world, "acme", "bob@acme.example")
    form = NEW_KEY | {FIELD: await word_in(ann, MEMBERS_KEYS)}

    await ann.post(MEMBERS_KEYS, data=form)
    await ann.post(MEMBERS_KEYS, data=form | {"name": "weekly"})
    await ann.post(MEMBERS_KEYS, data=form | {FIELD: await word_in(ann, MEMBERS_KEYS)})
    await bob.post(MEMBERS_KEYS, data=form)

    assert [key.name for key in await keys(world)] == ["nightly", "weekly", "nightly", "nightly"]
    assert len({key.id for key in await keys(world)}) == 4


async def test_what_was_refused_once_may_be_tried_again(world: World) -> None:
    visitor = await signed_in(world, "acme")
    form = NEW_KEY | {FIELD: await word_in(visitor, MEMBERS_KEYS), "expires": "date", "date": "2026-03-01"}

    refused = await visitor.post(MEMBERS_KEYS, data=form)

    assert refused.status_code == 400
    assert (await visitor.post(MEMBERS_KEYS, data=form | {"date": "2026-05-01"})).status_code == 303
