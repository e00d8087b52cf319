"""Assigning all connections of a workspace, or all that a search finds, in one form."""

import asyncio
import re

import httpx2

from gateway.dashboard.idempotent_forms import TOKEN_FIELD
from gateway.provisioning import assignment
from tests.dashboard.admin.support import CONNECTIONS, theirs, workspace
from tests.dashboard.support import followed, signed_in, words
from tests.support import World, bearer

ASSIGN = f"{CONNECTIONS}/assign"


def form_of(page: httpx2.Response, **fields: str) -> dict[str, str]:
    """The form of the page, with these fields filled in."""
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page.text)) | fields


async def test_a_whole_workspace_is_assigned_without_a_call_for_each(world: World) -> None:
    key = await world.client_with_key("acme")
    place = workspace(world, "Acme")
    for number in range(60):
        theirs(world, place, f"Shop {number:02} → Warehouse")
    taken = theirs(world, place, "Taken")
    await world.client_with_key("globex")
    await world.services.connections.add("globex", connector_type="ads", label="Theirs", airbyte_id=taken)
    admin = await signed_in(world, None)

    listed = await admin.get(f"{CONNECTIONS}?client=acme")
    page = await admin.get(f"{ASSIGN}?workspace={place}&client=acme")
    asked = len(world.sandbox.requests)
    answer = await admin.post(f"{ASSIGN}?workspace={place}", data=form_of(page, client="acme"))
    calls = len(world.sandbox.requests) - asked

    shown = await followed(admin, answer)
    rows = (await world.http.get("/api/v1/connections", headers=bearer(key))).json()["data"]
    assert f'connections/assign?workspace={place}&amp;client=acme">Assign all 60 of this workspace …</a>' in listed.text
    assert "Assign 60 connections" in words(page)
    assert '<option value="acme" selected>' in page.text
    assert calls == 0
    assert answer.headers["location"].endswith("clients/acme?done=assigned")
    assert "The client sees the connections from now on." in words(shown)
    assert sorted(row["label"] for row in rows) == [f"Shop {number:02}" for number in range(60)]
    assert {(row["connector_type"], row["status"]) for row in rows} == {("shopify", "active")}


async def test_only_what_a_search_finds_is_assigned(world: World) -> None:
    await world.client_with_key("acme")
    place = workspace(world)
    for name in ("Shop North", "Shop South", "Ads"):
        theirs(world, place, name, "stripe")
    admin = await signed_in(world, None)

    page = await admin.get(f"{ASSIGN}?q=shop")
    await admin.post(f"{ASSIGN}?q=shop", data=form_of(page, client="acme"))

    assert "Assign 2 connections" in words(page)
    assert "with “ shop ” that no client has yet" in words(page)
    assert {each.label for each in await world.services.store.connections.all()} == {"Shop North", "Shop South"}


async def test_no_more_is_assigned_than_was_told(world: World) -> None:
    await world.client_with_key("acme")
    place = workspace(world)
    theirs(world, place, "One")
    admin = await signed_in(world, None)
    page = await admin.get(ASSIGN)
    theirs(world, place, "Two")
    world.clock.advance(61)

    answer = await admin.post(ASSIGN, data=form_of(page, client="acme"))

    assert answer.status_code == 400
    assert "The list has changed since the page was shown; nothing was assigned." in words(answer)
    assert "Assign 2 connections" in words(answer)
    assert '<option value="acme" selected>' in answer.text
    assert await world.services.store.connections.all() == []


async def test_nothing_is_assigned_that_was_not_shown_though_there_are_as_many(world: World) -> None:
    await world.client_with_key("acme")
    place = workspace(world)
    shown = theirs(world, place, "Shown")
    theirs(world, place, "Kept")
    admin = await signed_in(world, None)
    page = await admin.get(ASSIGN)
    world.sandbox.world.remove_connection(shown)
    theirs(world, place, "Unseen")
    world.clock.advance(61)

    answer = await admin.post(ASSIGN, data=form_of(page, client="acme"))

    assert "The list has changed since the page was shown; nothing was assigned." in words(answer)
    assert "Assign 2 connections" in words(answer)
    assert await world.services.store.connections.all() == []


async def test_a_form_that_comes_twice_assigns_once(world: World) -> None:
    await world.client_with_key("acme")
    place = workspace(world)
    for name in ("One", "Two"):
        theirs(world, place, name)
    admin = await signed_in(world, None)
    form = form_of(await admin.get(ASSIGN), client="acme")
    assert form[TOKEN_FIELD]

    answers = await asyncio.gather(*(admin.post(ASSIGN, data=form) for _ in range(2)))
    later = await admin.post(ASSIGN, data=form)

    assert [answer.headers["location"].rpartition("?")[2] for answer in (*answers, later)] == ["done=assigned"] * 3
    assert len(await world.services.store.connections.all()) == 2


async def test_the_client_must_be_chosen_and_there_must_be_something(world: World) -> None:
    await world.client_with_key("acme")
    theirs(world, workspace(world), "One")
    admin = await signed_in(world, None)
    page = await admin.get(ASSIGN)

    nobody = await admin.post(ASSIGN, data=form_of(page, client=""))
    unknown = await admin.post(ASSIGN, data=form_of(page, client="nobody"))
    nothing = await admin.get(f"{ASSIGN}?q=nothing")

    assert (nobody.status_code, unknown.status_code) == (400, 400)
    assert "Choose the client to assign them to" in words(nobody)
    assert "There is no client" in words(unknown)
    assert "There is no connection here that no client has." in words(nothing)


async def test_so_many_are_assigned_at_once(world: World) -> None:
    await world.client_with_key("acme")
    place = workspace(world)
    most = assignment.MOST_ASSIGNED
    for number in range(most + 2):
        theirs(world, place, f"Shop {number:04}")
    admin = await signed_in(world, None)
    page = await admin.get(ASSIGN)
    while "list is being read" in words(page):
        page = await admin.get(ASSIGN)

    await admin.post(ASSIGN, data=form_of(page, client="acme"))

    assert "do it again for the other 2" in words(page)
    assert len(await world.services.store.connections.all()) == most
