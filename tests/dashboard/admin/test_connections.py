"""Airbyte's live list on the operator's page, and assigning its connections to clients."""

import asyncio
import re
from pathlib import Path

import pytest

from gateway.dashboard.idempotent_forms import TOKEN_FIELD
from gateway.provisioning.timings import DiscoveryTimings
from tests.dashboard.admin.support import CONNECTIONS, OF_CLIENTS, airbyte_down, theirs, workspace
from tests.dashboard.support import rows_of, signed_in, words
from tests.support import BOUND_SECONDS, NEVER_MAPPED, World, bearer, running_gateway

LISTED = "listed"
"""Stands for the id of a connection that Airbyte lists."""
XSS = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


def ticked(airbyte_id: str, label: str = "Shop", connector_type: str = "shopify") -> dict[str, str]:
    return {f"tick-{airbyte_id}": "1", f"label-{airbyte_id}": label, f"type-{airbyte_id}": connector_type}


def lists_read(world: World) -> int:
    return len([each for each in world.sandbox.requests if each.path.endswith("/connections")])


async def test_airbytes_list_shows_names_workspaces_types_and_whose_they_are(world: World) -> None:
    await world.client_with_key("acme")
    first, second = workspace(world, "Alpha"), workspace(world, "Beta")
    theirs(world, first, "Orders → Warehouse", "postgres")
    theirs(world, second, "Other → Warehouse")
    mapped = theirs(world, first, "Ads → Warehouse", "")
    await world.services.connections.add("acme", connector_type="ads", label="Our ads", airbyte_id=mapped)
    admin = await signed_in(world, None)

    alpha, beta = await admin.get(CONNECTIONS), await admin.get(f"{CONNECTIONS}?workspace={second}")

    assert "Alpha" in alpha.text
    assert "Beta" in alpha.text
    assert 'value="Orders"' in alpha.text
    assert 'value="postgres"' in alpha.text
    assert "Ads → Warehouse active Acme Our ads ads" in words(alpha)
    assert "All (2)" in words(alpha)
    assert "Not assigned yet (1)" in words(alpha)
    assert "Other → Warehouse" in words(beta)
    assert "Orders" not in words(beta)


async def test_several_are_assigned_at_once(world: World) -> None:
    key = await world.client_with_key("acme")
    place = workspace(world)
    one, two, three = (theirs(world, place, f"Shop {number} -> Warehouse") for number in (1, 2, 3))
    admin = await signed_in(world, None)

    answer = await admin.post(
        f"{CONNECTIONS}?workspace={place}",
        data={"client": "acme", **ticked(one, "First"), **ticked(two, "Second ", "stripe"), f"label-{three}": "Third"},
    )

    listed = (await world.http.get("/api/v1/connections", headers=bearer(key))).json()["data"]
    assert answer.status_code == 303
    assert answer.headers["location"].endswith(f"?workspace={place}&done=assigned")
    assert [(row["label"], row["connector_type"], row["status"]) for row in listed] == [
        ("First", "shopify", "active"),
        ("Second", "stripe", "active"),
    ]


async def test_one_that_is_assigned_already_is_refused_and_nothing_else_happens(world: World) -> None:
    await world.client_with_key("acme")
    await world.client_with_key("globex")
    _, taken = await world.mapped_connection("acme")
    free = theirs(world, next(iter(world.sandbox.world.workspaces)), "Free")
    admin = await signed_in(world, None)

    answer = await admin.post(CONNECTIONS, data={"client": "globex", **ticked(free, "Free"), **ticked(taken, "Mine")})

    globex = await world.services.store.clients.by_slug("globex")
    assert answer.status_code == 400
    assert "Mine belongs to a client already; nothing was changed" in words(answer)
    assert (await world.services.store.connections.of_client(globex.id)).rows == ()


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        ({}, "Tick the connections to assign"),
        ({"client": ""} | ticked(LISTED), "Choose the client"),
        ({"client": "nobody"} | ticked(LISTED), "There is no client"),
        ({"client": "acme"} | ticked(LISTED, ""), "Each label must be"),
        ({"client": "acme"} | ticked(LISTED, "Shop", "Bad Type"), "The connector type of Shop must be"),
        ({"client": "acme"} | ticked(NEVER_MAPPED), "The list has no connection"),
        ({"client": "acme"} | ticked("not-an-id"), "The list has no connection"),
        ({"client": "acme"} | ticked(LISTED) | ticked(NEVER_MAPPED), "nothing was changed"),
    ],
)
async def test_what_cannot_be_assigned_says_why(world: World, form: dict[str, str], problem: str) -> None:
    await world.client_with_key("acme")
    listed = theirs(world, workspace(world), "Listed")
    admin = await signed_in(world, None)

    data = {name.replace(LISTED, listed): value for name, value in (form or {"client": "acme"}).items()}
    answer = await admin.post(CONNECTIONS, data=data)

    assert answer.status_code == 400
    assert problem.casefold() in words(answer).casefold()
    assert await world.services.store.connections.all() == []


async def test_what_was_typed_is_kept_when_it_is_refused(world: World) -> None:
    await world.client_with_key("acme")
    place = workspace(world)
    one, two = theirs(world, place, "One"), theirs(world, place, "Two")
    admin = await signed_in(world, None)

    answer = await admin.post(
        f"{CONNECTIONS}?workspace={place}", data={"client": "acme", **ticked(one, "Typed one", "BAD"), **ticked(two)}
    )

    assert answer.status_code == 400
    assert 'value="Typed one"' in answer.text
    assert 'value="BAD"' in answer.text
    assert answer.text.count(" checked") == 2
    assert '<option value="acme" selected>' in answer.text


async def test_what_is_ticked_stays_so_on_other_pages(world: World) -> None:
    key = await world.client_with_key("acme")
    place = workspace(world)
    ids = [theirs(world, place, f"Shop {number:02}") for number in range(30)]
    admin = await signed_in(world, None)

    second = await admin.post(
        f"{CONNECTIONS}?page=2",
        data={"client": "acme", "turn": "next", **ticked(ids[0], "Shop 00"), **ticked(ids[1], "Changed", "stripe")},
    )
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', second.text))
    kept = {name: value for name, value in hidden.items() if name != TOKEN_FIELD and name not in {"workspace", "show"}}
    assigned = await admin.post(CONNECTIONS, data={**kept, "client": "acme", **ticked(ids[29], "Last")})

    listed = (await world.http.get("/api/v1/connections", headers=bearer(key))).json()["data"]
    assert "16 to 30 of 30" in words(second)
    assert '<option value="acme" selected>' in second.text
    assert f"label-{ids[0]}" not in hidden
    assert assigned.status_code == 303
    assert {(row["label"], row["connector_type"]) for row in listed} == {
        ("Shop 00", "shopify"),
        ("Changed", "stripe"),
        ("Last", "shopify"),
    }


async def test_what_was_ticked_is_ticked_when_its_page_is_shown_again(world: World) -> None:
    await world.client_with_key("acme")
    place = workspace(world)
    ids = [theirs(world, place, f"Shop {number:02}") for number in range(30)]
    admin = await signed_in(world, None)

    first = await admin.post(CONNECTIONS, data={"turn": "previous", f"tick-{ids[0]}": "1", f"tick-{ids[29]}": "1"})

    assert re.search(rf'<input type="checkbox" name="tick-{ids[0]}"[^>]* checked>', first.text)
    assert first.text.count(" checked") == 1
    assert f'<input type="hidden" name="tick-{ids[29]}" value="1">' in first.text


async def test_the_list_is_sorted_and_what_is_ticked_stays_so(world: World) -> None:
    await world.client_with_key("acme")
    place = workspace(world)
    ids = {name: theirs(world, place, name, of) for name, of in (("b", "x"), ("A", "z"), ("c", "y"))}
    await world.services.connections.add("acme", connector_type="w", label="Ours", airbyte_id=ids["A"])
    admin = await signed_in(world, None)

    async def shown(sort: str) -> list[str]:
        page = await admin.post(f"{CONNECTIONS}?sort={sort}", data={"turn": "sort", f"tick-{ids['c']}": "1"})
        assert page.text.count(" checked") == 1
        assert page.text.count("aria-sort") == (1 if sort else 0)
        return [row[1] for row in rows_of(page.text)]

    orders = {
        "": "Abc",
        "name": "Abc",
        "-name": "cbA",
        "client": "bcA",
        "-client": "Abc",
        "type": "Abc",
        "-type": "cbA",
    }
    assert {sort: "".join(await shown(sort)) for sort in orders} == orders
    page = await admin.get(f"{CONNECTIONS}?sort=name&page=1&done=x")
    assert '<button class="plain" name="turn" value="sort" formaction="?sort=-name" formnovalidate>' in page.text
    first_button = re.findall(r"<button[^>]*>", page.text.partition('<form method="post" action="?')[2])[0]
    assert "turn" not in first_button  # The Enter key of a field presses it.


async def test_the_workspace_of_the_client_s_name_is_shown_first_and_the_client_chosen(world: World) -> None:
    await world.services.clients.add(slug="globex-corp", name="Globex", plan="free")
    await world.services.clients.add(slug="other", name="Other", plan="free")
    theirs(world, workspace(world, "Alpha"), "Alpha's")
    place = workspace(world, "GLOBEX corp.")
    theirs(world, place, "Globex's")
    admin = await signed_in(world, None)

    for_client = await admin.get(f"{CONNECTIONS}?client=globex-corp")
    for_workspace = await admin.get(f"{CONNECTIONS}?workspace={place}")
    for_other = await admin.get(f"{CONNECTIONS}?client=other")

    assert "Globex’s".replace("’", "'") in words(for_client)
    assert '<option value="globex-corp" selected>' in for_client.text
    assert '<option value="globex-corp" selected>' in for_workspace.text
    assert "Alpha's" in words(for_other)
    assert '<option value="other" selected>' in for_other.text


async def test_airbyte_down_is_a_sentence(world: World) -> None:
    await world.client_with_key("acme")
    admin = await signed_in(world, None)
    airbyte_down(world)

    answer = await admin.get(CONNECTIONS)

    assert answer.status_code == 200
    assert "Airbyte’s list cannot be read: http://airbyte/api/public/v1 answers 502: a proxy in front" in words(answer)


async def test_airbyte_down_leaves_what_was_read_before(world: World) -> None:
    await world.client_with_key("acme")
    place = workspace(world)
    kept = theirs(world, place, "Known → Warehouse")
    admin = await signed_in(world, None)
    await admin.get(CONNECTIONS)
    airbyte_down(world)
    world.clock.advance(600)

    answer = await admin.get(CONNECTIONS)
    assigned = await admin.post(CONNECTIONS, data={"client": "acme", **ticked(kept)})

    assert "cannot be read" in words(answer)
    assert "The list shown was read 10 minutes ago." in words(answer)
    assert "Known → Warehouse" in words(answer)
    assert assigned.headers["location"].endswith("?done=assigned")


async def test_airbyte_that_hangs_holds_no_page_up(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, discovery_timings=DiscoveryTimings(page_wait=0.05)) as world:
        await world.client_with_key("acme")
        theirs(world, workspace(world), "Late → Warehouse")
        admin = await signed_in(world, None)
        world.sandbox.faults.get_hang = asyncio.Event()

        waiting = await admin.get(CONNECTIONS)
        world.sandbox.faults.get_hang.set()
        world.sandbox.faults.get_hang = None
        there = await admin.get(CONNECTIONS)
        async with asyncio.timeout(BOUND_SECONDS):
            while "list is being read" in words(there):
                there = await admin.get(CONNECTIONS)

    assert waiting.status_code == 200
    assert "Airbyte’s list is being read: 0 connections so far" in words(waiting)
    assert 'data-live="2"' in waiting.text
    assert "Late → Warehouse" in words(there)
    assert "data-live" not in there.text


async def test_500_connections_are_paged_and_searched_without_asking_again(world: World) -> None:
    await world.client_with_key("acme")
    place = workspace(world)
    for number in range(500):
        theirs(world, place, f"Shop {number:03}")
    world.sandbox.faults.unordered = True
    admin = await signed_in(world, None)

    first = await admin.get(CONNECTIONS)
    async with asyncio.timeout(BOUND_SECONDS):
        while "list is being read" in words(first):
            first = await admin.get(CONNECTIONS)
    read = lists_read(world)
    last, found = await admin.get(f"{CONNECTIONS}?page=34"), await admin.get(f"{CONNECTIONS}?q=SHOP+499")

    assert "1 to 15 of 500" in words(first)
    assert "496 to 500 of 500" in words(last)
    assert "Shop 499" in words(last)
    assert "1 found for “ SHOP 499 ”" in words(found)
    assert lists_read(world) == read >= 26


async def test_the_list_is_read_again_on_request_and_after_a_minute(world: World) -> None:
    admin = await signed_in(world, None)
    place = workspace(world)
    await admin.get(CONNECTIONS)
    theirs(world, place, "Newcomer")

    stale, again = await admin.get(CONNECTIONS), await admin.get(f"{CONNECTIONS}?again=1")
    theirs(world, place, "Latecomer")
    world.clock.advance(61)
    later = await admin.get(CONNECTIONS)

    assert "Newcomer" not in words(stale)
    assert "Newcomer" in words(again)
    assert "Latecomer" in words(later)


async def test_only_what_nobody_has_may_be_shown(world: World) -> None:
    await world.client_with_key("acme")
    await world.mapped_connection("acme")
    admin = await signed_in(world, None)

    answer = await admin.get(f"{CONNECTIONS}?show=free")

    assert "Every connection of this workspace belongs to a client." in words(answer)


async def test_what_airbyte_calls_things_is_never_markup(world: World) -> None:
    await world.services.clients.add(slug="acme", name=XSS, plan="free")
    place = workspace(world, XSS)
    workspace(world, "Other")
    theirs(world, place, XSS)
    mapped = theirs(world, place, "Mapped")
    connection = (
        await world.services.connections.add("acme", connector_type="shopify", label=XSS, airbyte_id=mapped)
    ).connection
    admin = await signed_in(world, None)

    paths = (CONNECTIONS, OF_CLIENTS, f"{CONNECTIONS}/{connection.id}", f"{CONNECTIONS}?q=%22%3E%3Cscript%3E")
    answers = [await admin.get(f"{path}{'&' if '?' in path else '?'}workspace={place}") for path in paths]

    assert [answer.status_code for answer in answers] == [200] * 4
    assert all("<script>alert" not in answer.text and "<img" not in answer.text for answer in answers)
    assert all("&#34;&gt;&lt;script&gt;" in answer.text for answer in answers)
