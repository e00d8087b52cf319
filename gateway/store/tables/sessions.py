"""Every statement about the table `sessions`: who is signed in, and from where.

A session's secret is known to its browser alone; the table holds its digest. Writes are housekeeping, as for users.
"""

import msgspec

from gateway.models import ActivityEntry, Session, Visitor
from gateway.store.database import Database, Row, Transaction
from gateway.store.tables import activity
from gateway.store.tables.clients import client_from
from gateway.store.tables.users import user_from

MOST_SESSIONS = 100
"""Of one user: whoever signs in once more ends the one that was not seen for the longest time."""
FORGET = "DELETE FROM sessions WHERE last_seen_at < :before"
MOST_NOTED = 10
"""Sign-ins of one user that the activity has from a while: a script with a right password makes 33 a second."""


class Sessions:
    """Signed-in browsers. Every method raises StorageUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self,
        session: Session,
        *,
        digest: bytes,
        password_hash: str | None,
        has_proof: bool,
        ended_before: str,
        entry: ActivityEntry,
        noted_since: str,
    ) -> bool:
        """Sign the user in; False if he was removed meanwhile, or has another password than `password_hash`, if given.

        False also for one with a second factor, unless the sign-in `has_proof` of it.
        Sessions last seen before `ended_before` are over, whoever's they were: they are forgotten on the way, as are
        those of the user beyond MOST_SESSIONS. `entry` is left out if there are MOST_NOTED alike from `noted_since` on.
        """
        sign_in = """
            UPDATE users SET last_sign_in_at = :at
            WHERE id = :id AND (CAST(:password_hash AS TEXT) IS NULL OR password_hash = :password_hash)
            AND (totp_since IS NULL OR :has_proof = 1) RETURNING 1
            """

        async def insert(transaction: Transaction) -> bool:
            await transaction.execute_fetchall(FORGET, {"before": ended_before})
            parameters = {
                "at": session.created_at,
                "id": session.user_id,
                "password_hash": password_hash,
                "has_proof": int(has_proof),
            }
            signed_in = await activity.change(transaction, sign_in, parameters, None)
            if signed_in:
                await activity.insert_unless_often(transaction, entry, since=noted_since, most=MOST_NOTED)
                await _insert(transaction, session, digest)
                await _end_the_least_seen(transaction, session.user_id)
            return bool(signed_in)

        return await self._database.write(insert, housekeeping=True)

    async def visitor(self, digest: bytes) -> Visitor | None:
        """Return who is signed in with this secret; None for an unknown one or while the client is disabled."""
        session = await self._database.fetch_one("SELECT * FROM sessions WHERE digest = :digest", {"digest": digest})
        if session is None:
            return None
        user = await self._database.fetch_one("SELECT * FROM users WHERE id = :id", {"id": session["user_id"]})
        if user is None:
            return None
        client = None
        if user["client_id"] is not None:
            row = await self._database.fetch_one(
                "SELECT * FROM clients WHERE id = :id AND disabled_at IS NULL", {"id": user["client_id"]}
            )
            if row is None:
                return None
            client = client_from(row)
        return Visitor(user=user_from(user), client=client, session=_session_from(session))

    async def of_user(self, user_id: str) -> list[Session]:
        """Return the user's sessions, last seen first."""
        rows = await self._database.fetch_all(
            "SELECT * FROM sessions WHERE user_id = :user_id ORDER BY last_seen_at DESC, number DESC",
            {"user_id": user_id},
        )
        return [_session_from(row) for row in rows]

    async def touch(self, user_id: str, session_id: str, at: str) -> None:
        """Note when the session was seen."""

        async def update(transaction: Transaction) -> None:
            await transaction.execute_fetchall(
                "UPDATE sessions SET last_seen_at = :at WHERE user_id = :user_id AND id = :id",
                {"at": at, "user_id": user_id, "id": session_id},
            )

        await self._database.write(update, housekeeping=True)

    async def remove(self, user_id: str, session_id: str) -> None:
        """End the session. Another user's is not touched."""

        async def delete(transaction: Transaction) -> None:
            await transaction.execute_fetchall(
                "DELETE FROM sessions WHERE user_id = :user_id AND id = :id", {"user_id": user_id, "id": session_id}
            )

        await self._database.write(delete, housekeeping=True)

    async def remove_all(self, user_id: str) -> None:
        """End every session of the user."""

        async def delete(transaction: Transaction) -> None:
            await transaction.execute_fetchall("DELETE FROM sessions WHERE user_id = :user_id", {"user_id": user_id})

        await self._database.write(delete, housekeeping=True)


async def _insert(transaction: Transaction, session: Session, digest: bytes) -> None:
    await transaction.execute_fetchall(
        """
        INSERT INTO sessions (id, digest, user_id, created_at, last_seen_at, address, agent)
        VALUES (:id, :digest, :user_id, :created_at, :last_seen_at, :address, :agent)
        """,
        {**msgspec.structs.asdict(session), "digest": digest},
    )


async def _end_the_least_seen(transaction: Transaction, user_id: str) -> None:
    """End what the user has beyond MOST_SESSIONS."""
    await transaction.execute_fetchall(
        """
        DELETE FROM sessions WHERE user_id = :user_id AND number NOT IN
            (SELECT number FROM sessions WHERE user_id = :user_id
            ORDER BY last_seen_at DESC, number DESC LIMIT :most)
        """,
        {"user_id": user_id, "most": MOST_SESSIONS},
    )


def _session_from(row: Row) -> Session:
    return Session(
        id=row["id"],
        user_id=row["user_id"],
        created_at=row["created_at"],
        last_seen_at=row["last_seen_at"],
        address=row["address"],
        agent=row["agent"],
    )
