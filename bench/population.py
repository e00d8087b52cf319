"""Fills a new database in one transaction: through the store, every row would be synced to disk by itself."""

import secrets
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from gateway.auth import keys

CONNECTOR_TYPES = ("shopify", "postgres", "stripe", "hubspot")


class Population:
    """Rows as the gateway would have written them, all of them at the time `now`."""

    def __init__(self, connection: sqlite3.Connection, now: str, expires_at: str) -> None:
        self._connection = connection
        self._now = now
        self._expires_at = expires_at
        self._keys = 0
        connection.execute("INSERT INTO last_sync_refresh (only_row, read_upto) VALUES (1, ?)", (now,))

    def add_client(self, slug: str) -> int:
        sql = "INSERT INTO clients (slug, name, plan, created_at) VALUES (?, ?, 'free', ?)"
        number = self._connection.execute(sql, (slug, slug.title(), self._now)).lastrowid
        if number is None:
            raise RuntimeError("no row was written")
        return number

    def add_connections(self, client_id: int, count: int) -> list[tuple[str, str]]:
        """Add connections, mapped, active and synced a moment ago; return our ids and Airbyte's."""
        workspace_id = str(uuid.uuid4())
        pairs = [(keys.mint_id("conn", secrets.choice), str(uuid.uuid4())) for _ in range(count)]
        self._connection.executemany(
            """
            INSERT INTO connections (id, client_id, connector_type, label, status, airbyte_id, workspace_id,
                status_checked_at, schedule_since, last_job_id, last_sync_at, last_sync_status, backfilled_at,
                created_at)
            VALUES (:id, :client_id, :connector_type, :label, 'active', :airbyte_id, :workspace_id,
                :now, :now, :job_id, :now, 'succeeded', :now, :now)
            """,
            (
                {
                    "id": ours,
                    "client_id": client_id,
                    "connector_type": CONNECTOR_TYPES[number % 4],
                    "label": f"Shop {number}",
                    "airbyte_id": theirs,
                    "workspace_id": workspace_id,
                    "job_id": number,
                    "now": self._now,
                }
                for number, (ours, theirs) in enumerate(pairs, 1)
            ),
        )
        return pairs

    def add_keys(self, client_ids: Sequence[int], texts: Iterable[str], *, rate: tuple[int, int] | None = None) -> None:
        """Add keys, one after the other to each client in turn."""
        first = self._keys
        requests, seconds = rate or (None, None)

        def rows() -> Iterator[tuple[object, ...]]:
            for number, text in enumerate(texts, first):
                self._keys = number + 1
                client_id = client_ids[number % len(client_ids)]
                start = keys.display_start(text)
                yield f"key_{number:016d}", client_id, keys.digest(text), start, requests, seconds, self._now

        self._connection.executemany(
            f"""
            INSERT INTO api_keys (id, client_id, digest, start, name, scope, rate_requests, rate_seconds,
                created_at, expires_at)
            VALUES (?, ?, ?, ?, 'bench', 'full', ?, ?, ?, '{self._expires_at}')
            """,  # noqa: S608 - our own time
            rows(),
        )


@contextmanager
def populating(path: Path, now: str, expires_at: str) -> Iterator[Population]:
    """Open the file to be filled: unsafe in a crash, which is why it is quick; the file is made anew for every run."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF; PRAGMA cache_size = -500000")
        yield Population(connection, now, expires_at)
        connection.commit()
        connection.executescript("PRAGMA journal_mode = DELETE")


def made_up_key(number: int) -> str:
    """Return a key, well formed but guessable: a million random ones would take half a minute to mint."""
    body = f"{keys.PREFIX}{number:0{keys.SECRET_LENGTH}d}"
    return body + keys.checksum(body)
