"""Data of the gateways under test, and their settings files."""

import asyncio
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.population import Population, made_up_key, populating
from gateway.auth import keys
from gateway.settings import load_settings
from gateway.store import create_database
from gateway.times import format_time

CONNECTIONS = 1_000
FEW, SOME, MANY = 5, 10, 500
LARGE_CLIENTS = 1_000
LARGE_CONNECTIONS_EACH = 10
LARGE_KEYS = 1_000_000
EXHAUSTED = (1, 2_592_000)
"""One request a month."""
SETTINGS = """
[server]
port = {port}
[database]
url = "sqlite:///gateway.db"
[airbyte]
base_url = "http://127.0.0.1:{upstream_port}/api/public/v1"
client_id = "id"
client_secret = "secret"
# The pass-through has no cap. One caller gets half of the permits, so 64 let all 32 requests at once through.
max_in_flight = 64
[rate_limit]
# Raised, not removed: every request takes its token.
requests = 1000000000
per_seconds = 60
"""


@dataclass(frozen=True)
class World:
    """What the load needs to know of a small database: clients of 1,000, 500, 10 and 5 connections."""

    settings: Path
    key: str
    """Of the client with a thousand."""
    key_of_many: str
    key_of_some: str
    key_of_few: str
    unknown_key: str
    """Well formed, so that only the store can tell."""
    exhausted_key: str
    connection_ids: list[str]
    airbyte_ids: list[str]

    @property
    def good_keys(self) -> tuple[str, ...]:
        return self.key, self.key_of_many, self.key_of_some, self.key_of_few, self.exhausted_key


def build_world(folder: Path, *, port: int, upstream_port: int) -> World:
    settings, database = _prepare(folder, port, upstream_port)
    key, exhausted, of_many, of_some, of_few = [keys.mint(secrets.choice) for _ in range(5)]
    with populating(database, *_times()) as population:
        client = population.add_client("acme")
        pairs = population.add_connections(client, CONNECTIONS)
        population.add_keys([client], [key])
        population.add_keys([client], [exhausted], rate=EXHAUSTED)
        for count, text in ((MANY, of_many), (SOME, of_some), (FEW, of_few)):
            _add_client(population, f"client-of-{count}", count, text)
    return World(
        settings,
        key,
        key_of_many=of_many,
        key_of_some=of_some,
        key_of_few=of_few,
        unknown_key=keys.mint(secrets.choice),
        exhausted_key=exhausted,
        connection_ids=[ours for ours, _ in pairs],
        airbyte_ids=[theirs for _, theirs in pairs],
    )


def _add_client(population: Population, slug: str, connections: int, key: str) -> None:
    client = population.add_client(slug)
    population.add_connections(client, connections)
    population.add_keys([client], [key])


def build_large_world(folder: Path, *, port: int, upstream_port: int) -> Path:
    """Return the settings file of 1,000 clients, 10,000 connections and the first million made-up keys."""
    settings, database = _prepare(folder, port, upstream_port)
    with populating(database, *_times()) as population:
        clients = _add_clients(population)
        population.add_keys(clients, (made_up_key(number) for number in range(LARGE_KEYS)))
    return settings


def build_spread_world(folder: Path, upstream_port: int) -> Path:
    """Return the settings file of 10,000 connections in 1,000 workspaces, without keys: nobody calls."""
    settings, database = _prepare(folder, 0, upstream_port)
    with populating(database, *_times()) as population:
        _add_clients(population)
    return settings


def _add_clients(population: Population) -> list[int]:
    """Add the clients of a large world, each with connections in a workspace of its own; return their numbers."""
    clients = [population.add_client(f"client-{number}") for number in range(LARGE_CLIENTS)]
    for client in clients:
        population.add_connections(client, LARGE_CONNECTIONS_EACH)
    return clients


def _prepare(folder: Path, port: int, upstream_port: int) -> tuple[Path, Path]:
    folder.mkdir(exist_ok=True)
    settings = folder / "settings.toml"
    settings.write_text(SETTINGS.format(port=port, upstream_port=upstream_port))
    database = load_settings(settings, {}).database_path
    asyncio.run(create_database(database))
    return settings, database


def _times() -> tuple[str, str]:
    """Now, and when the keys expire."""
    now = datetime.now(UTC)
    return format_time(now), format_time(now + timedelta(days=1))
