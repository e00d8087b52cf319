"""Finding a key by what somebody has of it: its id, its first characters, or all of it."""

from gateway.models import ApiKey
from gateway.store.database import Database
from gateway.store.tables.key_rows import key_from


class KeySearch:
    """Searches every client's keys, for the operator. Every method raises StorageUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def by_digest(self, digest: bytes) -> list[ApiKey]:
        """Return the one key with this digest, or none."""
        return await self._select("digest = :value", digest)

    async def by_start(self, start: str) -> list[ApiKey]:
        """Return the keys that are shown with this start, `smrt_ab12…`, oldest first."""
        return await self._select("start = :value", start)

    async def _select(self, condition: str, value: bytes | str) -> list[ApiKey]:
        sql = f"SELECT * FROM api_keys WHERE {condition} ORDER BY number"  # noqa: S608 - the conditions above
        return [key_from(row) for row in await self._database.fetch_all(sql, {"value": value})]
