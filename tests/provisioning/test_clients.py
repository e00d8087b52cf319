"""What operators do with clients, and what their keys notice of it."""

import pytest

from gateway.errors import Duplicate, InvalidInput, UnknownRecord
from gateway.models import RatePolicy
from tests.provisioning.support import NOW, add_connection, status_with, told
from tests.support import World, bearer


async def test_a_new_client_can_do_nothing_yet(world: World) -> None:
    client = await world.services.clients.add(slug="acme", name="Acme Inc", plan="free")

    assert (client.slug, client.name, client.plan) == ("acme", "Acme Inc", "free")
    assert client.created_at == "2026-04-01T03:00:00.000Z"
    assert await world.services.store.api_keys.of_client(client.id) == []


async def test_an_update_is_answered_at_once_and_its_rate_holds_from_the_next_request(world: World) -> None:
    key = await world.client_with_key()

    client = await world.services.clients.update(
        "acme", name="Acme Inc", plan="pro", rate="1/60", rate_total=None, most_keys=None
    )

    assert (client.name, client.plan, client.rate) == ("Acme Inc", "pro", RatePolicy(1, 60))
    answer = await world.http.get("/api/v1/status", headers=bearer(key))
    assert (answer.json()["client"]["name"], answer.json()["client"]["plan"]) == ("Acme Inc", "pro")
    assert answer.headers["ratelimit-policy"] == '"default";q=1;w=60'
    assert await status_with(world, key) == 429


@pytest.mark.parametrize("rate", [None, ""])
async def test_without_a_rate_the_settings_hold_again(world: World, rate: str | None) -> None:
    key = await world.client_with_key()
    await world.services.clients.update("acme", name="Acme", plan="free", rate="1/60", rate_total=None, most_keys=None)

    client = await world.services.clients.update(
        "acme", name="Acme", plan="free", rate=rate, rate_total=None, most_keys=None
    )

    assert client.rate is None
    answer = await world.http.get("/api/v1/status", headers=bearer(key))
    assert answer.headers["ratelimit-policy"] == '"default";q=100;w=60'


@pytest.mark.parametrize("bad", [{"name": ""}, {"plan": "a\nb"}, {"rate": "fast"}, {"rate": "0/60"}])
async def test_an_update_with_something_wrong_changes_nothing(world: World, bad: dict[str, str]) -> None:
    client = await world.services.clients.add(slug="acme", name="Acme", plan="free")

    told_to = {"name": "New", "plan": "new", "rate": "7/60", **bad}

    with pytest.raises(InvalidInput):
        await world.services.clients.update(
            "acme", name=told_to["name"], plan=told_to["plan"], rate=told_to["rate"], rate_total=None, most_keys=None
        )

    assert await world.services.store.clients.by_slug("acme") == client
    assert await told(world) == [("client.create", "Acme (acme)")]


async def test_a_disabled_client_s_keys_are_refused_on_the_next_request_until_it_is_enabled(world: World) -> None:
    keys = [await world.client_with_key(), await world.key()]
    other = await world.client_with_key("globex")
    assert [await status_with(world, key) for key in keys] == [200, 200]

    disabled = await world.services.clients.disable("acme")
    assert disabled.disabled_at == NOW
    assert [await status_with(world, key) for key in [*keys, other]] == [401, 401, 200]

    enabled = await world.services.clients.enable("acme")
    assert enabled.disabled_at is None
    assert [await status_with(world, key) for key in [*keys, other]] == [200, 200, 200]


async def test_a_removed_client_is_gone_with_all_that_was_its(world: World) -> None:
    key = await world.client_with_key()
    await add_connection(world)

    removed = await world.services.clients.remove("acme")

    assert removed.slug == "acme"
    assert await status_with(world, key) == 401
    store = world.services.store
    assert (await store.clients.all(), await store.connections.all(), await store.api_keys.all()) == ([], [], [])


async def test_a_client_with_another_slug_keeps_its_keys_and_connections(world: World) -> None:
    key = await world.client_with_key()
    connection = await add_connection(world)
    before = await world.services.store.clients.by_slug("acme")
    assert await status_with(world, key) == 200

    renamed = await world.services.clients.rename("acme", "acme-inc")

    assert renamed == await world.services.store.clients.by_slug("acme-inc")
    assert (renamed.id, renamed.created_at) == (before.id, before.created_at)
    status = (await world.http.get("/api/v1/status", headers=bearer(key))).json()
    assert (status["client"]["slug"], status["connections"]) == ("acme-inc", 1)
    assert (await world.services.store.connections.any_by_id(connection)).client_id == before.id
    assert (await told(world))[-1] == ("client.rename", f"{before.name} (acme → acme-inc)")
    with pytest.raises(UnknownRecord):
        await world.services.clients.rename("acme", "other")


async def test_a_slug_that_is_taken_or_none_is_refused_and_nothing_is_told(world: World) -> None:
    for slug in ("acme", "globex"):
        await world.services.clients.add(slug=slug, name=slug, plan="free")
    before = await told(world)

    for new, error in (("globex", Duplicate), ("Acme", InvalidInput), ("", InvalidInput)):
        with pytest.raises(error):
            await world.services.clients.rename("acme", new)
    await world.services.clients.rename("acme", "acme")

    assert await told(world) == before
