"""Choosing among many clients: by the slug, so that the page stays small."""

import re

from gateway.dashboard.idempotent_forms import TOKEN_FIELD
from gateway.store.database import Transaction
from tests.dashboard.admin.support import CONNECTIONS, theirs, workspace
from tests.dashboard.support import signed_in, words
from tests.support import World

MOST_LISTED = 200
USERS = "/dashboard/admin/users"
FIELD = re.compile(r'<input name="client" value="([^"]*)" required')
HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')


async def add_clients(world: World, number: int) -> None:
    rows = [{"slug": f"client-{each:04}", "name": f"Client {each}"} for each in range(number)]

    async def write(transaction: Transaction) -> None:
        await transaction.executemany(
            "INSERT INTO clients (slug, name, plan, created_at) VALUES (:slug, :name, 'free', '2026-04-01')", rows
        )

    await world.services.store.database.write(write)


async def test_of_so_many_clients_that_a_list_would_be_long_one_is_named_by_its_slug(world: World) -> None:
    await world.services.clients.add(name="Acme Inc", slug="acme", plan="free")
    admin = await signed_in(world, None)
    place = workspace(world)
    theirs(world, place, "Shop")
    await add_clients(world, MOST_LISTED - 1)
    pages = [USERS, f"{CONNECTIONS}?client=acme", f"{CONNECTIONS}/assign?client=acme"]
    for path in pages:
        page = (await admin.get(path)).text
        assert "Acme Inc (acme)</option>" in page
        assert not FIELD.search(page)

    await world.services.clients.add(name="One more", slug="one-more", plan="free")
    for path in pages:
        page = (await admin.get(path)).text
        assert FIELD.findall(page) == ["" if path == USERS else "acme"]
        assert "client-0007" not in page
        assert 'id="whose"' in page


async def test_a_slug_that_nobody_has_is_told_and_nothing_that_was_typed_is_lost(world: World) -> None:
    await world.services.clients.add(name="Acme Inc", slug="acme", plan="free")
    admin = await signed_in(world, None)
    place = workspace(world)
    shop = theirs(world, place, "Shop")
    await add_clients(world, MOST_LISTED)
    assign = await admin.get(f"{CONNECTIONS}/assign")
    tried = {
        USERS: {"email": "ann@acme.example"},
        CONNECTIONS: {f"tick-{shop}": "1", f"label-{shop}": "Typed", f"type-{shop}": "typed"},
        f"{CONNECTIONS}/assign?workspace={place}": dict(HIDDEN.findall(assign.text)),
    }
    for path, data in tried.items():
        refused = await admin.post(path, data={**data, "client": "acmee"})

        assert refused.status_code == 400
        assert "There is no client with the slug" in words(refused)
        assert FIELD.findall(refused.text) == ["acmee"]
        assert all(f'value="{value}"' in refused.text for name, value in data.items() if name != TOKEN_FIELD)

    right = [(await admin.post(path, data={**data, "client": "acme"})).status_code for path, data in tried.items()]
    assert right == [200, 303, 400]  # The last finds nothing left to assign.
    assert [row.label for row in await world.services.store.connections.all()] == ["Typed"]
