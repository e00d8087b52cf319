"""What pages show of a client's keys: some of them, however many have ended."""

import json
from collections.abc import Iterable

from gateway.models import ApiKey
from gateway.store.database import Database
from gateway.store.tables.api_keys import WORKING
from gateway.store.tables.key_rows import select_keys


class KeyPages:
    """Keys of one client, whose `client_id` comes first. Every method raises StorageUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def working(
        self, client_id: int, *, now: str, query: str, limit: int, offset: int
    ) -> tuple[list[ApiKey], int]:
        """Return the keys that work and have `query` in name, start or id, newest first: a page, and how many.

        ASCII letters are alike in upper and lower case.
        """
        condition = f"""
            WHERE number IN ({WORKING})
            AND lower(name || ' ' || start || ' ' || id) LIKE lower(:pattern) ESCAPE '\\'
            """
        values = {"client_id": client_id, "now": now, "pattern": containing(query)}
        row = await self._database.fetch_one(f"SELECT count(*) AS keys FROM api_keys {condition}", values)  # noqa: S608 - ours
        page = f"{condition} ORDER BY number DESC LIMIT :limit OFFSET :offset"
        keys = await select_keys(self._database, page, {**values, "limit": limit, "offset": offset})
        return keys, row["keys"] if row else 0

    async def ended(self, client_id: int, *, now: str, limit: int) -> tuple[list[ApiKey], int]:
        """Return the newest of the keys that work no more, at most `limit`, and how many there are."""
        values = {"client_id": client_id, "now": now, "limit": limit}
        rows = await self._database.fetch_all(
            f"""
            SELECT (SELECT count(*) FROM api_keys WHERE client_id = :client_id)
                - (SELECT count(*) FROM ({WORKING}) AS working) AS keys
            """,  # noqa: S608 - ours
            values,
        )
        keys = await select_keys(
            self._database,
            f"WHERE client_id = :client_id AND number NOT IN ({WORKING}) ORDER BY number DESC LIMIT :limit",
            values,
        )
        return keys, rows[0]["keys"]

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
        listed = self._database.dialect.json_rows.format(":ids")
        rows = await self._database.fetch_all(
            f"SELECT id, start FROM api_keys WHERE client_id = :client_id AND id IN (SELECT value FROM {listed})",  # noqa: S608 - ours
            {"client_id": client_id, "ids": json.dumps(list(key_ids))},
        )
        return {row["id"]: row["start"] for row in rows}


def containing(query: str) -> str:
    """Return the pattern of LIKE for text that contains the query."""
    escaped = query.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
