"""Clients of a fairness run: A, who does his worst, B beside him, and five more; each with connections and keys."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from bench.wire import request_for
from gateway.sandbox import Sandbox
from gateway.services import build_services
from gateway.settings import load_settings
from gateway.store import create_database
from gateway.times import SystemClock

A, B = "a", "b"
OTHERS = ("c", "d", "e", "f", "g")
CONNECTIONS_EACH = 10
KEYS_OF_A = 20


@dataclass(frozen=True)
class Tenant:
    """A client, its keys, and its connections: our id → Airbyte's."""

    keys: tuple[str, ...]
    key_ids: tuple[str, ...]
    connections: dict[str, str]
    settings: Path

    def jobs(self, *, limits: Iterator[int] | None = None) -> Iterator[bytes]:
        """Yield reads of jobs, each of the next connection, with a limit of its own if there are `limits`."""
        for ours in cycle(self.connections):
            query = f"?limit={next(limits)}" if limits else ""
            yield request_for(f"/api/v1/connections/{ours}/jobs{query}", self.keys[0])

    def triggers(self) -> Iterator[bytes]:
        for ours in cycle(self.connections):
            yield trigger_of(ours, self.keys[0])


def trigger_of(connection_id: str, key: str) -> bytes:
    head = f"POST /api/v1/connections/{connection_id}/sync HTTP/1.1\r\nHost: gateway\r\n"
    return f"{head}Authorization: Bearer {key}\r\nContent-Length: 0\r\n\r\n".encode()


async def build_tenants(settings_file: Path, sandbox: Sandbox) -> dict[str, Tenant]:
    """Create all clients. B's key has a rate of its own, above what is asked with it."""
    settings = load_settings(settings_file, {})
    await create_database(settings.database_path)
    services = build_services(settings, SystemClock())
    tenants = {}
    async with services.opened():
        for slug in (A, B, *OTHERS):
            workspace = sandbox.world.add_workspace(slug).workspace_id
            await services.clients.add(slug=slug, name=slug, plan="free")
            connections = {}
            for _ in range(CONNECTIONS_EACH):
                theirs = sandbox.world.add_connection(workspace).connection_id
                sandbox.world.add_job(theirs)
                added = await services.connections.add(slug, connector_type="shopify", label="Shop", airbyte_id=theirs)
                connections[added.connection.id] = theirs
            rate = None if slug == A else "100000/60"
            keys = [
                await services.keys.create(slug, name=f"key {n}", scope="full", expires=None, rate=rate)
                for n in range(KEYS_OF_A if slug == A else 1)
            ]
            texts, ids = tuple(key.text for key in keys), tuple(key.record.id for key in keys)
            tenants[slug] = Tenant(texts, ids, connections, settings_file)
    return tenants
