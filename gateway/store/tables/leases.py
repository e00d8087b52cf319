"""Every statement about the table `leases`: work that one gateway does for all of them.

Time is the database's, so gateways whose clocks disagree agree about who holds what.
"""

import msgspec

from gateway.store.database import Database, Transaction
from gateway.store.timings import MILLISECONDS


class LeaseState(msgspec.Struct, frozen=True):
    """Who does it, if anybody does, and how it ended when it was done last; None if it never was."""

    holder: str | None
    done_seconds_ago: float | None
    note: str | None


class Leases:
    """Leases, by name. A holder that is silent past its time has lost the lease to whoever asks next.

    Every method raises StorageUnavailable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def acquire(self, name: str, *, holder: str, seconds: float, unless_done_within: float = 0.0) -> bool:
        """Hold the lease for `seconds` from now, anew or for longer; False while another holder has it.

        False too if the work was done in the last `unless_done_within` seconds, by whomever.
        """
        now = self._database.dialect.now

        async def write(transaction: Transaction) -> bool:
            rows = await transaction.execute_fetchall(
                f"""
                INSERT INTO leases (name, holder, expires_at) VALUES (:name, :holder, {now} + :duration)
                ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
                WHERE (leases.expires_at <= {now} OR leases.holder = excluded.holder)
                    AND coalesce(leases.done_at, 0) <= {now} - :since
                RETURNING 1
                """,  # noqa: S608 - ours
                {
                    "name": name,
                    "holder": holder,
                    "duration": int(seconds * MILLISECONDS),
                    "since": int(unless_done_within * MILLISECONDS),
                },
            )
            return bool(list(rows))

        return await self._database.write(write, housekeeping=True)

    async def complete(self, name: str, *, holder: str, note: str | None = None) -> bool:
        """Note that the work is done, and free the lease; False, with nothing noted, if the holder had lost it."""
        now = self._database.dialect.now

        async def write(transaction: Transaction) -> bool:
            rows = await transaction.execute_fetchall(
                f"UPDATE leases SET expires_at = 0, done_at = {now}, note = :note "  # noqa: S608 - ours
                f"WHERE name = :name AND holder = :holder AND expires_at > {now} RETURNING 1",
                {"note": note, "name": name, "holder": holder},
            )
            return bool(list(rows))

        return await self._database.write(write, housekeeping=True)

    async def give_back(self, name: str, *, holder: str) -> None:
        """Free the lease, with nothing done. Another's is not touched."""

        async def write(transaction: Transaction) -> None:
            await transaction.execute_fetchall(
                "UPDATE leases SET expires_at = 0 WHERE name = :name AND holder = :holder",
                {"name": name, "holder": holder},
            )

        await self._database.write(write, housekeeping=True)

    async def state(self, name: str) -> LeaseState:
        """Return who holds the lease, and how the work ended when it was done last."""
        now = self._database.dialect.now
        row = await self._database.fetch_one(
            f"""
            SELECT CASE WHEN expires_at > {now} THEN holder END AS holder, {now} - done_at AS ago, note
            FROM leases WHERE name = :name
            """,  # noqa: S608 - ours
            {"name": name},
        )
        if row is None:
            return LeaseState(None, None, None)
        return LeaseState(row["holder"], None if row["ago"] is None else row["ago"] / MILLISECONDS, row["note"])
