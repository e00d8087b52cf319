"""What tests of provisioning share: short ways to connections, and what the activity log says."""

import secrets
from typing import Any

from gateway.models import ActivityEntry
from gateway.provisioning.keys import NewKey
from gateway.provisioning.manifest import Manifests
from gateway.provisioning.mapping import Mapped
from tests.support import World, bearer

NOW = "2026-04-01T03:00:00.000Z"
DAY = 86_400.0


async def status_with(world: World, key: NewKey) -> int:
    return (await world.http.get("/api/v1/status", headers=bearer(key))).status_code


async def add(world: World, slug: str = "acme", **options: str | None) -> Mapped:
    chosen: dict[str, Any] = {"connector_type": "shopify", "label": "Shop", "airbyte_id": None, **options}
    return await world.services.connections.add(slug, **chosen)


def their_connection(world: World, **options: Any) -> str:
    sandbox = world.sandbox.world
    workspace = next(iter(sandbox.workspaces), None) or sandbox.add_workspace("Work").workspace_id
    return sandbox.add_connection(workspace, **options).connection_id


async def add_connection(world: World, slug: str = "acme", label: str = "Shopify EU") -> str:
    connection = (
        await world.services.connections.add(slug, connector_type="shopify", label=label, airbyte_id=None)
    ).connection
    return connection.id


async def log(world: World) -> list[ActivityEntry]:
    return await world.services.store.activity.all(limit=100)


async def told(world: World) -> list[tuple[str, str]]:
    """Actions and subjects, oldest first."""
    return [(entry.action, entry.subject) for entry in reversed(await log(world))]


def manifests_of(world: World) -> Manifests:
    services = world.services
    return Manifests(
        services.store, world.clock, secrets.choice, require_url=services.webhooks.endpoints.require_allowed
    )
