"""Applying a manifest while others change the database."""

import secrets
from pathlib import Path

import pytest

from gateway.errors import InvalidInput
from gateway.provisioning.manifest import Manifests, format_manifest, parse_manifest
from tests.support import World


async def test_what_was_agreed_on_is_not_done_to_another_state(world: World, tmp_path: Path) -> None:
    await world.services.clients.add(slug="acme", name="Acme", plan="free")
    manifests = Manifests(world.services.store, world.clock, secrets.choice)
    path = tmp_path / "manifest.toml"
    path.write_text(format_manifest(await manifests.export()).replace("free", "pro"))
    file = parse_manifest(path)
    agreed = await manifests.plan(file, prune=True)
    await world.services.clients.add(slug="globex", name="Globex", plan="free")

    with pytest.raises(InvalidInput, match="changed meanwhile; nothing was done"):
        await manifests.apply(file, agreed, prune=True)

    assert [(row.slug, row.plan) for row in await world.services.store.clients.all()] == [
        ("acme", "free"),
        ("globex", "free"),
    ]


async def test_a_running_gateway_learns_of_it_with_the_next_request(world: World, tmp_path: Path) -> None:
    key = await world.client_with_key()
    headers = {"Authorization": f"Bearer {key.text}"}
    assert (await world.http.get("/api/v1/status", headers=headers)).json()["client"]["plan"] == "free"
    manifests = Manifests(world.services.store, world.clock, secrets.choice)
    path = tmp_path / "manifest.toml"
    path.write_text(format_manifest(await manifests.export()).replace("free", "pro"))
    file = parse_manifest(path)

    await manifests.apply(file, await manifests.plan(file, prune=False), prune=False)

    assert (await world.http.get("/api/v1/status", headers=headers)).json()["client"]["plan"] == "pro"
