"""Every statement about the table `sessions`: who is signed in, and from where.

A session's secret is known to its browser alone; the table holds its digest. Writes are housekeeping, as for users.
"""

from gateway.models import ActivityEntry, Session, Visitor
from gateway.store.database import Database, Row, Transaction
from gateway.store.tables import activity
from gateway.store.tables.clients import client_from
from gateway.store.tables.users import user_from


class Sessions:
    """Signed-in browsers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self, session: Session, *, digest: bytes, password_hash: str | None, ended_before: str, entry: ActivityEntry
    ) -> bool:
        """False if the user was removed meanwhile, or has another password than `password_hash`, if one is given.

        Sessions last seen before `ended_before` are over, whoever's they were: they are forgotten on the way.
        """
        sign_in = """
            UPDATE users SET last_sign_in_at = ?1
            WHERE id = ?2 AND (CAST(?3 AS TEXT) IS NULL OR password_hash = ?3) RETURNING 1
            """

        async def insert(connection: Transaction) -> bool:
            await connection.execute_fetchall("DELETE FROM sessions WHERE last_seen_at < ?", (ended_before,))
            parameters = (session.created_at, session.user_id, password_hash)
            signed_in = await activity.change(connection, sign_in, parameters, entry)
            if signed_in:
                await _insert(connection, session, digest)
            return bool(signed_in)

        return await self._database.write(insert, housekeeping=True)

    async def visitor(self, digest: bytes) -> Visitor | None:
        """Who is signed in with this secret; None for an unknown one or while the client is disabled."""
        session = await self._database.fetch_one("SELECT * FROM sessions WHERE digest = ?", (digest,))
        if session is None:
            return None
        user = await self._database.fetch_one("SELECT * FROM users WHERE id = ?", (session["user_id"],))
        if user is None:
            return None
        client = None
        if user["client_id"] is not None:
            row = await self._database.fetch_one(
                "SELECT * FROM clients WHERE id = ? AND disabled_at IS NULL", (user["client_id"],)
            )
            if row is None:
                return None
            client = client_from(row)
        return Visitor(user=user_from(user), client=client, session=_session_from(session))

    async def of_user(self, user_id: str) -> list[Session]:
        """Last seen first."""
        rows = await self._database.fetch_all(
            "SELECT * FROM sessions WHERE user_id = ? ORDER BY last_seen_at DESC, number DESC", (user_id,)
        )
        return [_session_from(row) for row in rows]

    async def touch(self, user_id: str, session_id: str, at: str) -> None:
        async def update(connection: Transaction) -> None:
            await connection.execute_fetchall(
                "UPDATE sessions SET last_seen_at = ? WHERE user_id = ? AND id = ?", (at, user_id, session_id)
            )

        await self._database.write(update, housekeeping=True)

    async def remove(self, user_id: str, session_id: str) -> None:
        """Another user's session is not touched."""

        async def delete(connection: Transaction) -> None:
            await connection.execute_fetchall(
                "DELETE FROM sessions WHERE user_id = ? AND id = ?", (user_id, session_id)
            )

        await self._database.write(delete, housekeeping=True)

    async def remove_all(self, user_id: str) -> None:
        async def delete(connection: Transaction) -> None:
            await connection.execute_fetchall("DELETE FROM sessions WHERE user_id = ?", (user_id,))

        await self._database.write(delete, housekeeping=True)


async def _insert(connection: Transaction, session: Session, digest: bytes) -> None:
    await connection.execute_fetchall(
        """
        INSERT INTO sessions (id, digest, user_id, created_at, last_seen_at, address, agent)
        VALUES (?, ?, ?, ?, ?, ?, ?)
        """,
        (
            session.id,
            digest,
            session.user_id,
            session.created_at,
            session.last_seen_at,
            session.address,
            session.agent,
        ),
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
