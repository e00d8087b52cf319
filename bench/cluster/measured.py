"""Everything that `python -m bench.cluster` measures, in order, with the servers it starts for it."""

import asyncio
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.arena import GATEWAY
from bench.cluster.backends import Backends, running_backends
from bench.cluster.costs import VALKEY_NUMBER, FirstCalls, Writes, measure_first_calls, measure_writes
from bench.cluster.rates import Figures, background_statements, calls_of, measure_sides
from bench.cluster.sides import ALONE, Side, cluster, open_arena, settings_file
from bench.cluster.sizes import RowSize, populate, row_sizes
from bench.processes import Cores, free_port, pinned
from bench.serving import serving
from bench.world import SETTINGS
from gateway.settings import load_settings
from gateway.settings.secret import SecretUrl
from gateway.store import create_database
from gateway.store.postgres.server import move_to_server


@dataclass(frozen=True)
class Measured:
    """By call and side, by side, and by whose database it is."""

    rates: dict[tuple[str, str], Figures]
    background: dict[str, float]
    writes: dict[str, Writes]
    first_calls: dict[str, FirstCalls]
    sizes: list[RowSize]
    calls: list[str]
    sides: list[str]


SQLITE, POSTGRES = "SQLite", "PostgreSQL"


def measure_all(rounds: int, seconds: int) -> Measured:
    cores = Cores()
    with tempfile.TemporaryDirectory(prefix="cluster-") as name:
        folder = Path(name)
        os.sched_setaffinity(0, cores.load)
        with running_backends(folder / "backends") as backends:
            print("rates", flush=True)
            with open_arena(folder, cores, backends) as arena:
                calls, sides = [call.name for call in calls_of(arena)], [side.name for side in arena.sides]
                background = {side.name: background_statements(arena, side) for side in arena.sides if side.url}
                rates = measure_sides(arena, background, rounds, seconds)
            print("first calls, sizes, writes", flush=True)
            settings = _full_world(folder / "full")
            database = settings.with_name("gateway.db")
            url = backends.postgres.new_database()
            move_to_server(database.resolve(), url, lambda _what, _done, _total: None)
            sizes = row_sizes(database, url, backends)
            first = {
                SQLITE: _first_calls_alone(settings, backends, cores),
                POSTGRES: _first_calls_shared(settings, url, backends, cores),
            }
            with pinned(cores.server):
                writes = {
                    SQLITE: asyncio.run(measure_writes(database)),
                    POSTGRES: asyncio.run(measure_writes(url, backends)),
                }
    return Measured(rates, background, writes, first, sizes, calls, sides)


def _full_world(folder: Path) -> Path:
    folder.mkdir()
    settings = folder / "settings.toml"
    # Nobody there: what is known of the connections is fresh enough not to be asked for.
    text = SETTINGS.format(port=free_port(), upstream_port=free_port())
    settings.write_text(text.replace("[airbyte]", "[airbyte]\nfreshness_seconds = 86400"))
    database = load_settings(settings, {}).database_path
    asyncio.run(create_database(database))
    populate(database)
    return settings


def _first_calls_alone(settings: Path, backends: Backends, cores: Cores) -> FirstCalls:
    port = load_settings(settings, {}).server.port
    with serving(GATEWAY, settings, port, cores.server) as alone:
        return measure_first_calls(Side(ALONE, [alone], [port], [settings]), backends)


def _first_calls_shared(settings: Path, url: SecretUrl, backends: Backends, cores: Cores) -> FirstCalls:
    valkey = f"{backends.valkey.url.removesuffix('/0')}/{VALKEY_NUMBER}"
    with cluster([settings_file(settings.parent, url, valkey, free_port())], url, cores) as side:
        return measure_first_calls(side, backends)
