"""Applying a manifest while others change the database."""

import secrets
from pathlib import Path

import msgspec
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


async def test_webhooks_are_updated_and_removed_and_never_created(world: World, tmp_path: Path) -> None:
    await world.services.clients.add(slug="acme", name="Acme", plan="free")
    endpoints = world.services.webhooks.endpoints
    kept, gone = [
        (await endpoints.add("acme", url=f"https://{name}.example/secret", events=["sync.failed"])).record
        for name in ("kept", "gone")
    ]
    manifests = Manifests(world.services.store, world.clock, secrets.choice)
    path = tmp_path / "manifest.toml"
    text = format_manifest(await manifests.export())
    path.write_text(text)
    assert "whsec_" not in text
    assert not (await manifests.plan(parse_manifest(path), prune=True)).changes

    text = text.replace("kept.example/secret", "kept.example/new").replace(gone.id, "whk_0000000000000000")
    path.write_text(text)
    file = parse_manifest(path)
    plan = await manifests.plan(file, prune=True)
    await manifests.apply(file, plan, prune=True)

    assert [change.line for change in plan.changes] == [
        f"- webhook gone.example ({gone.id}) of acme",
        f"~ webhook kept.example ({kept.id}) of acme: url",
    ]
    assert "make a new one with: gateway webhook add --client acme --url https://gone.example/secret" in plan.notes[0]
    (webhook,) = await world.services.store.webhooks.all()
    assert webhook == msgspec.structs.replace(kept, url="https://kept.example/new")


@pytest.mark.parametrize(
    "url", ["ftp://a.example/", "https://user@a.example/", "https://[/", "https:///", "https://ä/"]
)
def test_a_webhook_leads_to_the_web(tmp_path: Path, url: str) -> None:
    path = tmp_path / "manifest.toml"
    path.write_text(
        f'format = 1\n[clients.acme]\nname = "Acme"\n[webhooks.whk_0000000000000000]\nclient = "acme"\nurl = "{url}"\n',
        encoding="utf-8",
    )

    with pytest.raises(InvalidInput, match="must look like https"):
        parse_manifest(path)
