"""Every statement about the table `gateways`: which gateways serve this database now.

Each joins when it starts, sends a heartbeat every few seconds, and leaves. One that is silent for LIVE_SECONDS, by the
database's clock, counts as dead.
"""

import msgspec

from gateway.errors import DatabaseRefused
from gateway.store.database import Database, Row, Transaction
from gateway.store.timings import FORGOTTEN_SECONDS, LIVE_SECONDS, MILLISECONDS

LIVE_SILENCE = {"silence": int(LIVE_SECONDS * MILLISECONDS)}


class LiveGateway(msgspec.Struct, frozen=True):
    """One that was seen lately. `is_alone`: it counts its rate limits in its own memory."""

    id: str
    name: str
    is_alone: bool


class Gateways:
    """Gateways, oldest first: the position of one among them is its rank. Every method raises StorageUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def join(self, gateway_id: str, *, name: str, is_alone: bool) -> None:
        """Count the gateway as a live one from now on. `name` is for people.

        Raises DatabaseRefused beside another live one if either of them is alone: two would each have their own rate
        limit. One that was killed counts as live for LIVE_SECONDS: try again for so long.
        """

        async def write(connection: Transaction) -> None:
            others = [each for each in await self._live(connection) if each.id != gateway_id]
            lonely = next((each for each in others if is_alone or each.is_alone), None)
            if lonely is not None:
                raise DatabaseRefused(
                    f"the database is in use by another gateway, {lonely.name}; to run several, set rate_limit.backend "
                    'to a shared one in each, for example "redis://127.0.0.1:6379/0"'
                )
            await connection.execute_fetchall(
                f"DELETE FROM gateways WHERE seen_at < {self._database.dialect.now} - :silence",  # noqa: S608 - ours
                {"silence": int(FORGOTTEN_SECONDS * MILLISECONDS)},
            )
            await self._put(connection, gateway_id, name, is_alone=is_alone)

        await self._database.write(write, housekeeping=True)

    async def stay(self, gateway_id: str, *, name: str, is_alone: bool) -> None:
        """Send a heartbeat: the gateway lives, even if it was forgotten meanwhile."""
        await self._database.write(
            lambda connection: self._put(connection, gateway_id, name, is_alone=is_alone), housekeeping=True
        )

    async def leave(self, gateway_id: str) -> None:
        """Forget the gateway."""

        async def write(connection: Transaction) -> None:
            await connection.execute_fetchall("DELETE FROM gateways WHERE id = :id", {"id": gateway_id})

        await self._database.write(write, housekeeping=True)

    async def live(self) -> list[LiveGateway]:
        """Return the gateways that were seen in the last LIVE_SECONDS."""
        return [_live_from(row) for row in await self._database.fetch_all(self._select_live(), LIVE_SILENCE)]

    async def _live(self, connection: Transaction) -> list[LiveGateway]:
        return [_live_from(row) for row in await connection.execute_fetchall(self._select_live(), LIVE_SILENCE)]

    def _select_live(self) -> str:
        return f"""
            SELECT id, name, is_alone FROM gateways
            WHERE seen_at > {self._database.dialect.now} - :silence ORDER BY number
            """  # noqa: S608 - ours

    async def _put(self, connection: Transaction, gateway_id: str, name: str, *, is_alone: bool) -> None:
        await connection.execute_fetchall(
            f"""
            INSERT INTO gateways (id, name, is_alone, seen_at)
            VALUES (:id, :name, :is_alone, {self._database.dialect.now})
            ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at
            """,  # noqa: S608 - ours
            {"id": gateway_id, "name": name, "is_alone": int(is_alone)},
        )


def _live_from(row: Row) -> LiveGateway:
    return LiveGateway(row["id"], row["name"], bool(row["is_alone"]))
