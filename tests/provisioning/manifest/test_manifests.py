"""Applying a manifest while others change the database."""

from pathlib import Path

import msgspec
import pytest

from gateway.errors import InvalidInput
from gateway.provisioning.manifest import format_manifest, parse_manifest
from tests.provisioning.support import manifests_of
from tests.support import World


async def test_what_was_agreed_on_is_not_done_to_another_state(world: World, tmp_path: Path) -> None:
    await world.services.clients.add(slug="acme", name="Acme", plan="free")
    manifests = manifests_of(world)
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
    manifests = manifests_of(world)
    path = tmp_path / "manifest.toml"
    path.write_text(format_manifest(await manifests.export()).replace("free", "pro"))
    file = parse_manifest(path)

    await manifests.apply(file, await manifests.plan(file, prune=False), prune=False)

    assert (await world.http.get("/api/v1/status", headers=headers)).json()["client"]["plan"] == "pro"


async def test_webhooks_are_updated_and_removed_and_never_created(world: World, tmp_path: Path) -> None:
    await world.services.clients.add(slug="acme", name="Acme", plan="free")
    ours, _ = await world.mapped_connection()
    endpoints = world.services.webhooks.endpoints
    kept, gone = [
        (await endpoints.add("acme", url=f"https://{name}.example/", events=["sync.failed"], connections=[ours])).record
        for name in ("kept", "gone")
    ]
    manifests = manifests_of(world)
    path = tmp_path / "manifest.toml"
    text = format_manifest(await manifests.export())
    path.write_text(text)
    assert "whsec_" not in text
    assert not (await manifests.plan(parse_manifest(path), prune=True)).changes

    text = text.replace("kept.example/", "kept.example/new").replace(gone.id, "whk_0000000000000000")
    path.write_text(text)
    file = parse_manifest(path)
    plan = await manifests.plan(file, prune=True)
    await manifests.apply(file, plan, prune=True)

    assert [change.line for change in plan.changes] == [
        f"- webhook gone.example ({gone.id}) of acme",
        f"~ webhook kept.example ({kept.id}) of acme: url",
    ]
    how = f"--client acme --url https://gone.example/ --event sync.failed --connection {ours}"
    assert plan.notes[0].endswith(f"make a new one with: gateway webhook add {how}")
    (webhook,) = await world.services.store.webhooks.all()
    assert webhook == msgspec.structs.replace(kept, url="https://kept.example/new")


async def test_a_webhook_is_checked_as_the_command_checks_it(world: World, tmp_path: Path) -> None:
    for slug in ("acme", "globex"):
        await world.services.clients.add(slug=slug, name="Acme", plan="free")
    theirs, _ = await world.mapped_connection("globex")
    known = (await world.services.webhooks.endpoints.add("acme", url="https://a.example/")).record
    text = format_manifest(await manifests_of(world).export())
    url, end = 'url = "https://a.example/"', 'events = ["sync.failed", "sync.started", "sync.failed"]'

    async def plan(new: str) -> list[str]:
        path = tmp_path / "manifest.toml"
        path.write_text(text.replace(url, new))
        return [change.line for change in (await manifests_of(world).plan(parse_manifest(path), prune=False)).changes]

    for address in ("https://127.0.0.1/", "http://a.example/", "https://999.1.1.1/", "https://a.example/#x"):
        with pytest.raises(InvalidInput, match=rf"^webhooks\.{known.id}\.url: a webhook's URL must"):
            await plan(f'url = "{address}"')
    for connection_id in (theirs, "conn_0000000000000000"):
        with pytest.raises(InvalidInput, match=f"the client acme has no connection {connection_id} in this file"):
            await plan(f'{url}\nconnections = ["{connection_id}"]')
    assert len(await plan(f"{url}\n{end}")) == 1
    assert parse_manifest(tmp_path / "manifest.toml").webhooks[known.id].events == ("sync.started", "sync.failed")


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
