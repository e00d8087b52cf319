"""What the activity log tells of what operators do."""

import pytest

from gateway.errors import Duplicate, InvalidInput, UnknownRecord
from gateway.models import COMMAND_LINE, Actor
from tests.provisioning.support import NOW, add_connection, log, told
from tests.support import NEVER_MAPPED, World

ANN = Actor("ann@example.com", address="192.0.2.1", request_id="request-1")


async def test_every_deed_is_told_with_who_did_it_whence_and_to_whom(world: World) -> None:
    services = world.services
    client = await services.clients.add(slug="acme", name="Acme Inc", plan="free", by=ANN)
    await services.clients.update(
        "acme", name="Acme Ltd", plan="pro", rate=None, rate_total=None, most_keys=None, by=ANN
    )
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
        (
            UnknownRecord,
            services.clients.update("nobody", name="Nobody", plan="free", rate=None, rate_total=None, most_keys=None),
        ),
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
