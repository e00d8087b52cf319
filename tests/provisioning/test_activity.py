"""What operators do to clients, connections and keys once they are there, and what the activity log tells of it."""

import pytest

from gateway.errors import Duplicate, InvalidInput, UnknownRecord
from gateway.models import COMMAND_LINE, ActivityEntry, Actor, RatePolicy
from gateway.provisioning.keys import NewKey
from tests.support import NEVER_MAPPED, World, bearer

ANN = Actor("ann@example.com", address="192.0.2.1", request_id="request-1")
NOW = "2026-04-01T03:00:00.000Z"


async def status_with(world: World, key: NewKey) -> int:
    return (await world.http.get("/api/v1/status", headers=bearer(key))).status_code


async def log(world: World) -> list[ActivityEntry]:
    return await world.services.store.activity.all(limit=100)


async def told(world: World) -> list[tuple[str, str]]:
    """Actions and subjects, oldest first."""
    return [(entry.action, entry.subject) for entry in reversed(await log(world))]


async def add_connection(world: World, slug: str = "acme", label: str = "Shopify EU") -> str:
    connection = (
        await world.services.connections.add(slug, connector_type="shopify", label=label, airbyte_id=None)
    ).connection
    return connection.id


async def test_an_update_is_answered_at_once_and_its_rate_holds_from_the_next_request(world: World) -> None:
    key = await world.client_with_key()

    client = await world.services.clients.update("acme", name="Acme Inc", plan="pro", rate="1/60")

    assert (client.name, client.plan, client.rate) == ("Acme Inc", "pro", RatePolicy(1, 60))
    answer = await world.http.get("/api/v1/status", headers=bearer(key))
    assert (answer.json()["client"]["name"], answer.json()["client"]["plan"]) == ("Acme Inc", "pro")
    assert answer.headers["ratelimit-policy"] == '"default";q=1;w=60'
    assert await status_with(world, key) == 429


@pytest.mark.parametrize("rate", [None, ""])
async def test_without_a_rate_the_settings_hold_again(world: World, rate: str | None) -> None:
    key = await world.client_with_key()
    await world.services.clients.update("acme", name="Acme", plan="free", rate="1/60")

    client = await world.services.clients.update("acme", name="Acme", plan="free", rate=rate)

    assert client.rate is None
    answer = await world.http.get("/api/v1/status", headers=bearer(key))
    assert answer.headers["ratelimit-policy"] == '"default";q=100;w=60'


@pytest.mark.parametrize("bad", [{"name": ""}, {"plan": "a\nb"}, {"rate": "fast"}, {"rate": "0/60"}])
async def test_an_update_with_something_wrong_changes_nothing(world: World, bad: dict[str, str]) -> None:
    client = await world.services.clients.add(slug="acme", name="Acme", plan="free")

    told_to = {"name": "New", "plan": "new", "rate": "7/60", **bad}

    with pytest.raises(InvalidInput):
        await world.services.clients.update("acme", name=told_to["name"], plan=told_to["plan"], rate=told_to["rate"])

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


async def test_a_renamed_connection_is_read_by_its_new_label_at_once(world: World) -> None:
    key = await world.client_with_key()
    connection_id = await add_connection(world)
    await world.http.get("/api/v1/connections", headers=bearer(key))

    connection = await world.services.connections.rename(connection_id, label="Web shop")

    assert connection.label == "Web shop"
    (row,) = (await world.http.get("/api/v1/connections", headers=bearer(key))).json()["data"]
    assert (row["id"], row["label"]) == (connection_id, "Web shop")


async def test_a_removed_connection_is_gone_at_once(world: World) -> None:
    key = await world.client_with_key()
    connection_id = await add_connection(world)

    removed = await world.services.connections.remove(connection_id)

    assert removed.id == connection_id
    assert (await world.http.get("/api/v1/connections", headers=bearer(key))).json()["data"] == []


async def test_a_key_of_another_client_is_as_unknown_as_none(world: World) -> None:
    mine = await world.client_with_key("acme")
    theirs = await world.client_with_key("globex")
    client_id = mine.record.client_id
    refusals = set()

    for key_id in (theirs.record.id, "key_0000000000000000"):
        with pytest.raises(UnknownRecord) as rotation:
            await world.services.keys.rotate(key_id, overlap="24h", client_id=client_id)
        with pytest.raises(UnknownRecord) as revocation:
            await world.services.keys.revoke(key_id, client_id=client_id)
        refusals |= {str(refusal.value).replace(key_id, "key") for refusal in (rotation, revocation)}

    assert len(refusals) == 1
    assert await status_with(world, theirs) == 200
    assert await world.services.store.api_keys.any_by_id(theirs.record.id) == theirs.record
    assert {entry.action for entry in await log(world)} == {"client.create", "key.create"}


async def test_a_client_rotates_and_revokes_its_own_keys(world: World) -> None:
    old = await world.client_with_key()
    client_id = old.record.client_id

    new = await world.services.keys.rotate(old.record.id, overlap="24h", client_id=client_id)
    revoked = await world.services.keys.revoke(old.record.id, client_id=client_id)

    assert revoked.revoked_at == NOW
    assert [await status_with(world, key) for key in (old, new)] == [401, 200]


async def test_every_deed_is_told_with_who_did_it_whence_and_to_whom(world: World) -> None:
    services = world.services
    client = await services.clients.add(slug="acme", name="Acme Inc", plan="free", by=ANN)
    await services.clients.update("acme", name="Acme Ltd", plan="pro", rate=None, by=ANN)
    connection = (
        await services.connections.add("acme", connector_type="shopify", label="Shop", airbyte_id=None, by=ANN)
    ).connection
    work = world.sandbox.world.add_workspace("Work").workspace_id
    theirs = world.sandbox.world.add_connection(work).connection_id
    await services.connections.map(connection.id, theirs, by=ANN)
    await services.connections.rename(connection.id, label="Web shop", by=ANN)
    await services.connections.remove(connection.id, by=ANN)
    (imported,) = [each.connection async for each in services.connections.import_workspace("acme", work, by=ANN)]
    old = await services.keys.create("acme", name="nightly report", scope="read", expires=None, rate=None, by=ANN)
    new = await services.keys.rotate(old.record.id, overlap="24h", by=ANN)
    await services.keys.revoke(old.record.id, by=ANN)
    await services.clients.disable("acme", by=ANN)
    await services.clients.enable("acme", by=ANN)
    await services.clients.remove("acme", by=ANN)

    assert imported is not None
    assert await told(world) == [
        ("client.create", "Acme Inc (acme)"),
        ("client.update", "Acme Ltd (acme)"),
        ("connection.create", f"Shop ({connection.id})"),
        ("connection.map", f"Shop ({connection.id})"),
        ("connection.rename", f"Web shop ({connection.id})"),
        ("connection.remove", f"Web shop ({connection.id})"),
        ("connection.import", f"{imported.label} ({imported.id})"),
        ("key.create", f"{old.record.start} (nightly report)"),
        ("key.rotate", f"{old.record.start} → {new.record.start} (nightly report)"),
        ("key.revoke", f"{old.record.start} (nightly report)"),
        ("client.disable", "Acme Ltd (acme)"),
        ("client.enable", "Acme Ltd (acme)"),
        ("client.remove", "Acme Ltd (acme)"),
    ]
    entries = await log(world)
    assert {(entry.at, entry.client_id) for entry in entries} == {(NOW, client.id)}
    assert {Actor(entry.actor, entry.address, entry.request_id) for entry in entries} == {ANN}
    for key in (old, new):
        assert not any(key.text in repr(entry) or key.text[9:] in repr(entry) for entry in entries)


async def test_whoever_does_not_say_who_he_is_is_the_command_line(world: World) -> None:
    await world.services.clients.add(slug="acme", name="Acme", plan="free")

    (entry,) = await log(world)

    assert Actor(entry.actor, entry.address, entry.request_id, entry.by_operator) == COMMAND_LINE


async def test_a_refused_deed_is_not_told(world: World) -> None:
    key = await world.client_with_key()
    connection_id = await add_connection(world)
    services = world.services
    before = await log(world)

    for error, deed in (
        (Duplicate, services.clients.add(slug="acme", name="Acme", plan="free")),
        (InvalidInput, services.clients.add(slug="Acme", name="Acme", plan="free")),
        (UnknownRecord, services.clients.update("nobody", name="Nobody", plan="free", rate=None)),
        (UnknownRecord, services.clients.disable("nobody")),
        (UnknownRecord, services.clients.enable("nobody")),
        (UnknownRecord, services.clients.remove("nobody")),
        (UnknownRecord, services.connections.map(connection_id, NEVER_MAPPED)),
        (UnknownRecord, services.connections.map("conn_none", NEVER_MAPPED)),
        (InvalidInput, services.connections.rename(connection_id, label="")),
        (UnknownRecord, services.connections.rename("conn_none", label="New")),
        (UnknownRecord, services.connections.remove("conn_none")),
        (InvalidInput, services.keys.create("acme", name="", scope="full", expires=None, rate=None)),
        (InvalidInput, services.keys.rotate(key.record.id, overlap="soon")),
        (UnknownRecord, services.keys.revoke("key_none")),
    ):
        with pytest.raises(error):
            await deed

    assert await log(world) == before
