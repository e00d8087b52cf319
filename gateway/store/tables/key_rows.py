"""Make keys of rows of the table `api_keys`, which several statements read."""

from gateway.models import ApiKey
from gateway.store.database import Database, Parameters, Row
from gateway.store.tables.clients import rate_from

KEY_COLUMNS = """
    id, client_id, start, name, scope, rate_requests, rate_seconds, created_at, expires_at,
    revoked_at, last_used_at, last_used_address, last_used_agent, successor_id, bucket_id
"""


async def select_keys(database: Database, condition: str, parameters: Parameters) -> list[ApiKey]:
    """Return the keys of the rows that the condition leaves. Raises StorageUnavailable."""
    rows = await database.fetch_all(f"SELECT {KEY_COLUMNS} FROM api_keys {condition}", parameters)  # noqa: S608 - ours
    return [key_from(row) for row in rows]


def key_from(row: Row) -> ApiKey:
    """Return the key of a row of the table."""
    return ApiKey(
        id=row["id"],
        client_id=row["client_id"],
        start=row["start"],
        name=row["name"],
        scope=row["scope"],
        created_at=row["created_at"],
        rate=rate_from(row["rate_requests"], row["rate_seconds"]),
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        last_used_at=row["last_used_at"],
        last_used_address=row["last_used_address"],
        last_used_agent=row["last_used_agent"],
        successor_id=row["successor_id"],
        bucket_id=row["bucket_id"],
    )
