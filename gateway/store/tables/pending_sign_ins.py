"""Every statement about the table `pending_sign_ins`: sign-ins whose password was right, and which wait for a code.

Writes are housekeeping, as for users.
"""

from gateway.models import User
from gateway.store.database import Database, Transaction
from gateway.store.tables.second_factors import Proof, spend
from gateway.store.tables.users import Credentials, credentials_from, user_from

MOST_CODE_TRIES = 5
"""Of one pending sign-in, from whatever addresses."""
ALIVE = "digest = :digest AND expires_at > :now AND tries < :most"


class PendingSignIns:
    """Pending sign-ins by the digest of their secret. Every method raises StorageUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, user: User, digest: bytes, *, password_hash: str, now: str, expires_at: str) -> bool:
        """Keep a pending sign-in; False if the user was removed or has another password meanwhile.

        Those that ended before `now`, whoever's they were, are forgotten on the way.
        """
        sql = """
            INSERT INTO pending_sign_ins (digest, user_id, expires_at, tries)
            SELECT :digest, id, :expires_at, 0 FROM users WHERE id = :id AND password_hash = :password_hash
            RETURNING 1
            """
        parameters = {"digest": digest, "expires_at": expires_at, "id": user.id, "password_hash": password_hash}

        async def write(transaction: Transaction) -> bool:
            await transaction.execute_fetchall("DELETE FROM pending_sign_ins WHERE expires_at <= :now", {"now": now})
            return bool(await transaction.execute_fetchall(sql, parameters))

        return await self._database.write(write, housekeeping=True)

    async def user_of(self, digest: bytes, *, now: str) -> User | None:
        """Return whose sign-in waits; None when it ended, expired or has no tries left."""
        row = await self._database.fetch_one(
            f"SELECT * FROM users WHERE id = (SELECT user_id FROM pending_sign_ins WHERE {ALIVE})",  # noqa: S608 - ours
            {"digest": digest, "now": now, "most": MOST_CODE_TRIES},
        )
        return None if row is None else user_from(row)

    async def complete(self, digest: bytes, proof: Proof | None, *, now: str) -> Credentials | None:
        """Count a try and, if the proof is good, use both up; return whose sign-in it was.

        None if the proof is not good, or the sign-in has ended.
        """
        count = f"UPDATE pending_sign_ins SET tries = tries + 1 WHERE {ALIVE} RETURNING user_id"  # noqa: S608 - ours

        async def write(transaction: Transaction) -> Credentials | None:
            counted = await transaction.execute_fetchall(count, {"digest": digest, "now": now, "most": MOST_CODE_TRIES})
            for row in counted:
                if await spend(transaction, row["user_id"], proof):
                    await transaction.execute_fetchall(
                        "DELETE FROM pending_sign_ins WHERE digest = :digest", {"digest": digest}
                    )
                    return await credentials_from(transaction, row["user_id"])
            return None

        return await self._database.write(write, housekeeping=True)
