"""Every statement about the table `gateways`: which gateways serve this database now.

Each joins when it starts, sends a heartbeat every few seconds, and leaves. One that is silent for long counts as
dead, by the database's clock.
"""

import msgspec

from gateway.errors import DatabaseRefused
from gateway.store.database import Database, Row, Transaction
from gateway.store.timings import MILLISECONDS, StoreTimings


class LiveGateway(msgspec.Struct, frozen=True):
    """One that was seen lately. `is_alone`: it counts its rate limits in its own memory."""

    id: str
    name: str
    is_alone: bool


class Gateways:
    """Gateways, oldest first: the position of one among them is its rank. Every method raises StorageUnavailable."""

    def __init__(self, database: Database, timings: StoreTimings) -> None:
        self._database = database
        self._forgotten = {"silence": int(timings.forgotten * MILLISECONDS)}
        self._live_silence = {"silence": int(timings.live * MILLISECONDS)}
        self.live_seconds = timings.live
        """For so long after its last heartbeat a gateway counts as live."""

    async def join(self, gateway_id: str, *, name: str, is_alone: bool) -> None:
        """Count the gateway as a live one from now on. `name` is for people.

        Raises DatabaseRefused beside another live one if either of them is alone: two would each have their own rate
        limit. One that was killed counts as live for `live_seconds`: try again for so long.
        """

        async def write(transaction: Transaction) -> None:
            others = [each for each in await self._live(transaction) if each.id != gateway_id]
            lonely = next((each for each in others if is_alone or each.is_alone), None)
            if lonely is not None:
                raise DatabaseRefused(
                    f"the database is in use by another gateway, {lonely.name}; to run several, set rate_limit.backend "
                    'to a shared one in each, for example "redis://127.0.0.1:6379/0"'
                )
            await transaction.execute_fetchall(
                f"DELETE FROM gateways WHERE seen_at < {self._database.dialect.now} - :silence",  # noqa: S608 - ours
                self._forgotten,
            )
            await self._put(transaction, gateway_id, name, is_alone=is_alone)

        await self._database.write(write, housekeeping=True)

    async def stay(self, gateway_id: str, *, name: str, is_alone: bool) -> None:
        """Send a heartbeat: the gateway lives, even if it was forgotten meanwhile."""
        await self._database.write(
            lambda transaction: self._put(transaction, gateway_id, name, is_alone=is_alone), housekeeping=True
        )

    async def leave(self, gateway_id: str) -> None:
        """Forget the gateway."""

        async def write(transaction: Transaction) -> None:
            await transaction.execute_fetchall("DELETE FROM gateways WHERE id = :id", {"id": gateway_id})

        await self._database.write(write, housekeeping=True)

    async def live(self) -> list[LiveGateway]:
        """Return the gateways that were seen in the last `live_seconds`."""
        return [_live_from(row) for row in await self._database.fetch_all(self._select_live(), self._live_silence)]

    async def _live(self, transaction: Transaction) -> list[LiveGateway]:
        return [_live_from(row) for row in await transaction.execute_fetchall(self._select_live(), self._live_silence)]

    def _select_live(self) -> str:
        return f"""
            SELECT id, name, is_alone FROM gateways
            WHERE seen_at > {self._database.dialect.now} - :silence ORDER BY number
            """  # noqa: S608 - ours

    async def _put(self, transaction: Transaction, gateway_id: str, name: str, *, is_alone: bool) -> None:
        await transaction.execute_fetchall(
            f"""
            INSERT INTO gateways (id, name, is_alone, seen_at)
            VALUES (:id, :name, :is_alone, {self._database.dialect.now})
            ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at
            """,  # noqa: S608 - ours
            {"id": gateway_id, "name": name, "is_alone": int(is_alone)},
        )


def _live_from(row: Row) -> LiveGateway:
    return LiveGateway(row["id"], row["name"], bool(row["is_alone"]))
