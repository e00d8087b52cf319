"""What pages show of a client's keys: some of them, however many have ended."""

import json
from collections.abc import Iterable

from gateway.models import ApiKey
from gateway.store.database import Database, Parameters
from gateway.store.tables.api_keys import WORKING
from gateway.store.tables.excerpts import Excerpt, LongList
from gateway.store.tables.key_rows import KEY_COLUMNS, key_from, select_keys

KEY_LIST = LongList(
    columns=KEY_COLUMNS,
    rows="api_keys",
    text="name || ' ' || start || ' ' || id",
    usual="number DESC",
    number="number",
    orders={
        "name": "lower(name)",
        "scope": "scope",
        "last_used": "coalesce(last_used_at, '')",
        "created": "created_at",
        "ends": "coalesce(revoked_at, expires_at, 'z')",
    },
)
"""In the order `ends`, keys that never end come last."""


class KeyPages:
    """Keys of one client, whose `client_id` comes first. Every method raises StorageUnavailable.

    The orders of long lists are `name`, `scope`, `last_used`, `created` and `ends`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def working(self, client_id: int, excerpt: Excerpt, *, now: str) -> tuple[list[ApiKey], int]:
        """Return a page of those that work and have the query in name, start or id, newest first, and how many."""
        return await self._read(excerpt, f"number IN ({WORKING})", {"client_id": client_id, "now": now})

    async def ended(self, client_id: int, excerpt: Excerpt, *, now: str) -> tuple[list[ApiKey], int]:
        """Return a page of those that work no more, as `working` does."""
        condition = f"client_id = :client_id AND number NOT IN ({WORKING})"
        return await self._read(excerpt, condition, {"client_id": client_id, "now": now})

    async def count_ended(self, client_id: int, *, now: str) -> int:
        """Return how many keys work no more, without reading them."""
        (row,) = await self._database.fetch_all(
            f"""
            SELECT (SELECT count(*) FROM api_keys WHERE client_id = :client_id)
                - (SELECT count(*) FROM ({WORKING}) AS working) AS keys
            """,  # noqa: S608 - ours
            {"client_id": client_id, "now": now},
        )
        ended: int = row["keys"]
        return ended

    async def _read(self, excerpt: Excerpt, condition: str, parameters: Parameters) -> tuple[list[ApiKey], int]:
        rows, total = await KEY_LIST.read(self._database, excerpt, condition=condition, parameters=parameters)
        return [key_from(row) for row in rows], total

    async def working_or_used(self, client_id: int, *, now: str, since: str) -> list[ApiKey]:
        """Return the keys that work, or were called in the hours from `since` on, oldest first."""
        condition = f"""
            WHERE number IN ({WORKING} UNION
                SELECT api_keys.number FROM key_usage JOIN api_keys ON api_keys.id = key_usage.key_id
                WHERE key_usage.client_id = :client_id AND key_usage.hour >= :since)
            ORDER BY number
            """  # noqa: S608 - ours
        return await select_keys(self._database, condition, {"client_id": client_id, "now": now, "since": since})

    async def successor_and_predecessor(self, key: ApiKey) -> tuple[ApiKey | None, ApiKey | None]:
        """Return the key that replaces this one, and the one that this one replaces. Those pruned are none."""
        values = {"client_id": key.client_id, "id": key.id, "successor_id": key.successor_id}
        successor = await select_keys(self._database, "WHERE client_id = :client_id AND id = :successor_id", values)
        predecessor = await select_keys(self._database, "WHERE client_id = :client_id AND successor_id = :id", values)
        return next(iter(successor), None), next(iter(predecessor), None)

    async def starts(self, client_id: int, key_ids: Iterable[str]) -> dict[str, str]:
        """Return the first characters of those of the keys that the client has, by id."""
        listed = self._database.dialect.texts("ids")
        rows = await self._database.fetch_all(
            f"SELECT id, start FROM api_keys WHERE client_id = :client_id AND id IN ({listed})",  # noqa: S608 - ours
            {"client_id": client_id, "ids": json.dumps(list(key_ids))},
        )
        return {row["id"]: row["start"] for row in rows}
