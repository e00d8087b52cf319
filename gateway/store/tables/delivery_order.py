"""Which delivery of a webhook and stream is due: the first open one, and no other."""

import json
from collections.abc import Collection

from gateway.store.database import Dialect, Transaction


async def make_first_due(
    transaction: Transaction, dialect: Dialect, *, webhook_number: int, streams: Collection[str], now: str
) -> None:
    """Make the first open delivery of each of the webhook's streams due, unless it is already.

    Whatever ends or deletes an open delivery calls it in the same transaction, or what waited for that waits for ever.
    """
    listed = dialect.json_rows.format(":streams")
    await transaction.execute_fetchall(
        f"""
        UPDATE deliveries SET next_at = :now WHERE next_at IS NULL AND number IN (
            SELECT (
                SELECT min(number) FROM deliveries
                WHERE webhook_number = :webhook AND stream = value AND outcome IS NULL
            ) FROM {listed}
        )
        """,  # noqa: S608 - ours
        {"now": now, "webhook": webhook_number, "streams": json.dumps(sorted(streams))},
    )
