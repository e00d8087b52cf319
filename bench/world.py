"""Data of the gateway under test: one client, its keys, a thousand mapped connections; and its settings file."""

import secrets
import uuid
from dataclasses import dataclass
from pathlib import Path

from gateway import keys
from gateway.clock import Clock, SystemClock
from gateway.models import Connection
from gateway.provisioning import Provisioning
from gateway.services import Services, build_services
from gateway.settings import load_settings
from gateway.store import create_database
from gateway.times import format_time

CONNECTIONS = 1_000
CLIENT = "acme"
SETTINGS = """
[server]
port = {port}
[database]
url = "sqlite:///gateway.db"
[airbyte]
base_url = "http://127.0.0.1:{upstream_port}/api/public/v1"
client_id = "id"
client_secret = "secret"
# The pass-through has no cap. One caller gets half of the places, so 64 let all 32 requests at once through.
max_in_flight = 64
[rate_limit]
# Raised, not removed: every request takes its token.
requests = 1000000000
per_seconds = 60
"""


@dataclass(frozen=True)
class World:
    """What the load needs to know."""

    settings: Path
    key: str
    unknown_key: str
    """Well formed, so that only the store can tell."""
    exhausted_key: str
    """One request a month."""
    connection_ids: list[str]
    airbyte_ids: list[str]


async def build_world(folder: Path, *, port: int, upstream_port: int) -> World:
    settings = folder / "settings.toml"
    settings.write_text(SETTINGS.format(port=port, upstream_port=upstream_port))
    loaded = load_settings(settings, {})
    await create_database(loaded.database_path)
    clock = SystemClock()
    services = build_services(loaded, clock)
    provisioning = Provisioning(services.store, services.airbyte, services.last_sync, clock, secrets.choice)
    async with services.opened():
        client = await provisioning.add_client(slug=CLIENT, name="Acme Inc", plan="free")
        key = await provisioning.create_key(CLIENT, name="bench", scope="full", expires="1d", rate=None)
        exhausted = await provisioning.create_key(
            CLIENT, name="exhausted", scope="full", expires="1d", rate="1/2592000"
        )
        connections = await _add_connections(services, client.id, clock)
    return World(
        settings=settings,
        key=key.text,
        unknown_key=keys.mint(secrets.choice),
        exhausted_key=exhausted.text,
        connection_ids=[connection.id for connection in connections],
        airbyte_ids=[connection.airbyte_id or "" for connection in connections],
    )


async def _add_connections(services: Services, client_id: int, clock: Clock) -> list[Connection]:
    """Straight into the store: mapping through `Provisioning` would ask the upstream for each."""
    now = format_time(clock.now())
    workspace_id = str(uuid.uuid4())
    connections = [
        Connection(
            id=keys.mint_id("conn", secrets.choice),
            client_id=client_id,
            connector_type="shopify",
            label=f"Shop {number}",
            status="active",
            created_at=now,
            airbyte_id=str(uuid.uuid4()),
            workspace_id=workspace_id,
            status_checked_at=now,
        )
        for number in range(CONNECTIONS)
    ]
    store = services.store.connections
    for connection in connections:
        await store.add(connection)
    await store.record_last_syncs(
        [],
        read_upto=now,
        backfilled=[connection.airbyte_id or "" for connection in connections],
        backfilled_at=now,
    )
    return connections
