"""Every statement about the tables `users` and `links`: who may sign in, and the addresses that let people in.

No API request reads any of it, so each write is housekeeping: the keys read so far stay cached.
"""

from typing import Literal

import msgspec

from gateway.errors import Duplicate, Unknown
from gateway.models import ActivityEntry, User
from gateway.store.database import ConstraintViolated, Database, Row, Transaction
from gateway.store.tables import activity

Purpose = Literal["password", "first-admin", "visit"]


class Link(msgspec.Struct, frozen=True):
    """A secret address, by its digest. Nobody's (`user_id` None) while its purpose is the first admin."""

    digest: bytes
    purpose: Purpose
    user_id: str | None
    expires_at: str


class Credentials(msgspec.Struct, frozen=True):
    """A user with what his password is compared to; None before he has set one."""

    user: User
    password_hash: str | None

    def __repr__(self) -> str:
        return f"Credentials({self.user.id})"


class Users:
    """People, by id, e-mail address or link."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, user: User, *, entry: ActivityEntry) -> None:
        """Raises Duplicate when the e-mail address, in whatever case, is taken."""

        async def insert(connection: Transaction) -> None:
            await _insert(connection, user, password_hash=None)
            await activity.insert(connection, entry)

        try:
            await self._database.write(insert, housekeeping=True)
        except ConstraintViolated:
            raise Duplicate(f"there already is a user with the address {user.email}") from None

    async def add_first_admin(self, user: User, *, password_hash: str, link: bytes, entry: ActivityEntry) -> bool:
        """Use the link to make `user` the first admin; False if the link was used or there is an admin already."""

        async def write(connection: Transaction) -> bool:
            used = await connection.execute_fetchall(
                """
                DELETE FROM links WHERE digest = ? AND purpose = 'first-admin'
                AND NOT EXISTS (SELECT * FROM users WHERE client_id IS NULL) RETURNING digest
                """,
                (link,),
            )
            if used:
                await _insert(connection, user, password_hash=password_hash)
                await activity.insert(connection, entry)
            return bool(used)

        try:
            return await self._database.write(write, housekeeping=True)
        except ConstraintViolated:
            raise Duplicate(f"there already is a user with the address {user.email}") from None

    async def all(self) -> list[User]:
        """Admins first, then members by client, oldest first."""
        return await self._select("ORDER BY users.client_id IS NOT NULL, users.client_id, users.number")

    async def of_client(self, client_id: int) -> list[User]:
        return await self._select("WHERE users.client_id = ? ORDER BY users.number", client_id)

    async def by_id(self, user_id: str) -> User:
        """Raises Unknown."""
        users = await self._select("WHERE users.id = ?", user_id)
        if not users:
            raise Unknown(f"there is no user {user_id!r}")
        return users[0]

    async def by_email(self, email: str) -> User:
        """Raises Unknown."""
        users = await self._select("WHERE lower(users.email) = ?", _lower(email))
        if not users:
            raise Unknown(f"there is no user with the address {email!r}; see: gateway user list")
        return users[0]

    async def has_admin(self) -> bool:
        return bool(await self._select("WHERE users.client_id IS NULL LIMIT 1"))

    async def credentials(self, email: str) -> Credentials | None:
        """None when nobody has this address, or his client is disabled."""
        row = await self._database.fetch_one(
            """
            SELECT users.* FROM users LEFT JOIN clients ON clients.id = users.client_id
            WHERE lower(email) = ? AND clients.disabled_at IS NULL
            """,
            (_lower(email),),
        )
        return None if row is None else Credentials(user_from(row), row["password_hash"])

    async def set_password(self, user_id: str, *, password_hash: str, link: bytes, entry: ActivityEntry) -> bool:
        """Use the link up to set it, and end the user's sessions; False if the link was used meanwhile."""
        use = "DELETE FROM links WHERE digest = ? AND user_id = ? AND purpose = 'password' RETURNING 1"

        async def write(connection: Transaction) -> bool:
            used = await activity.change(connection, use, (link, user_id), entry)
            if used:
                await connection.execute_fetchall(
                    "UPDATE users SET password_hash = ? WHERE id = ?", (password_hash, user_id)
                )
                await _end_access(connection, user_id)
            return bool(used)

        return await self._database.write(write, housekeeping=True)

    async def change_password(self, user_id: str, *, password_hash: str, instead_of: str, entry: ActivityEntry) -> bool:
        """Set it, and end the user's sessions and link; False if he has another than `instead_of` meanwhile."""
        update = "UPDATE users SET password_hash = ? WHERE id = ? AND password_hash = ? RETURNING 1"

        async def write(connection: Transaction) -> bool:
            changed = await activity.change(connection, update, (password_hash, user_id, instead_of), entry)
            if changed:
                await _end_access(connection, user_id)
            return bool(changed)

        return await self._database.write(write, housekeeping=True)

    async def remove(self, user_id: str, *, entry: ActivityEntry) -> bool:
        """The user's links and sessions go too. False for nobody, and for the last admin who can sign in."""
        sql = """
            DELETE FROM users WHERE id = ?1 AND (client_id IS NOT NULL OR password_hash IS NULL OR EXISTS
                (SELECT * FROM users WHERE client_id IS NULL AND password_hash IS NOT NULL AND id <> ?1)) RETURNING 1
            """
        removed = await self._database.write(
            lambda connection: activity.change(connection, sql, (user_id,), entry), housekeeping=True
        )
        return bool(removed)

    async def put_link(self, link: Link) -> None:
        """Keep the link; an older one of the same user, or for the first admin, ends."""

        async def replace(connection: Transaction) -> None:
            # SQL's equality knows no NULL; no user has an empty id.
            await connection.execute_fetchall(
                "DELETE FROM links WHERE coalesce(user_id, '') = ?", (link.user_id or "",)
            )
            await connection.execute_fetchall(
                "INSERT INTO links (digest, purpose, user_id, expires_at) VALUES (?, ?, ?, ?)",
                (link.digest, link.purpose, link.user_id, link.expires_at),
            )

        await self._database.write(replace, housekeeping=True)

    async def link(self, digest: bytes) -> Link | None:
        """None when there is none, its user's client is disabled, or it is for the first admin and there is one.

        Whether it has expired is the caller's.
        """
        row = await self._database.fetch_one(
            """
            SELECT links.* FROM links LEFT JOIN users ON users.id = links.user_id
            LEFT JOIN clients ON clients.id = users.client_id
            WHERE links.digest = ? AND clients.disabled_at IS NULL
            """,
            (digest,),
        )
        if row is None or (row["purpose"] == "first-admin" and await self.has_admin()):
            return None
        return Link(row["digest"], row["purpose"], row["user_id"], row["expires_at"])

    async def _select(self, condition: str, *parameters: object) -> list[User]:
        rows = await self._database.fetch_all(f"SELECT users.* FROM users {condition}", parameters)  # noqa: S608 - ours
        return [user_from(row) for row in rows]


def _lower(email: str) -> str:
    """As lower() in both databases: ASCII letters only."""
    return email.encode().lower().decode()


def user_from(row: Row) -> User:
    return User(
        id=row["id"],
        client_id=row["client_id"],
        email=row["email"],
        created_at=row["created_at"],
        has_password=row["password_hash"] is not None,
        last_sign_in_at=row["last_sign_in_at"],
    )


async def _insert(connection: Transaction, user: User, *, password_hash: str | None) -> None:
    await connection.execute_fetchall(
        "INSERT INTO users (id, client_id, email, password_hash, created_at) VALUES (?, ?, ?, ?, ?)",
        (user.id, user.client_id, user.email, password_hash, user.created_at),
    )


async def _end_access(connection: Transaction, user_id: str) -> None:
    """Whoever came in before, by a session or a link, is out."""
    await connection.execute_fetchall("DELETE FROM sessions WHERE user_id = ?", (user_id,))
    await connection.execute_fetchall("DELETE FROM links WHERE user_id = ?", (user_id,))
