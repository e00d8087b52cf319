"""The writes of triggers, and nothing else of them: `python -m bench.trigger_writes SETTINGS CALLERS EACH`.

Each caller has a connection of its own and writes one trigger after the other, as a trigger does: the intent, that it
is sent, what became of it. Prints the seconds that all of them took. It runs in an earlier revision's environment too.
"""

import asyncio
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import Any

from gateway.services import build_services
from gateway.settings import load_settings
from gateway.store import Intent

try:
    from gateway.times import SystemClock
except ImportError:
    from gateway.clock import SystemClock  # type: ignore[import-untyped,no-redef]  # the earlier revision's

NOW = "2026-04-01T03:00:00.000Z"


def connections_of(database: Path, count: int) -> list[tuple[int, str, str]]:
    """Return client, our id and Airbyte's, of so many mapped connections."""
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(
            "SELECT client_id, id, airbyte_id FROM connections WHERE airbyte_id IS NOT NULL ORDER BY id LIMIT ?",
            (count,),
        ).fetchall()


async def trigger(triggers: Any, intent: Intent) -> None:
    number = await triggers.begin(intent)
    if hasattr(triggers, "mark_sent"):
        await triggers.mark_sent(intent.client_id, number, newest_before=1, since=NOW, span_seconds=80)
    await triggers.resolve(intent.client_id, number, outcome="ok", job_id=2, at=NOW)


async def write(settings_file: Path, callers: int, each: int) -> float:
    settings = load_settings(settings_file, {})
    services = build_services(settings, SystemClock())
    async with services.opened():

        async def call(client_id: int, ours: str, theirs: str) -> None:
            for number in range(each):
                await trigger(
                    services.store.triggers, Intent(client_id, ours, theirs, "key_bench", f"r{number}", NOW, NOW)
                )

        pairs = connections_of(settings.database_path, callers)
        await call(*pairs[0])
        began = perf_counter()
        await asyncio.gather(*(call(*pair) for pair in pairs))
        return perf_counter() - began


if __name__ == "__main__":
    print(asyncio.run(write(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
