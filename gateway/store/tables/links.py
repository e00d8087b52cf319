"""Every statement about the table `links`: secret addresses that let people in, and what one of them is used up for.

No API request reads any of it, so each write is housekeeping: the keys read so far stay cached.
"""

from typing import Literal

import msgspec

from gateway.errors import Duplicate
from gateway.models import ActivityEntry, User
from gateway.store.database import ConstraintViolated, Database, Transaction
from gateway.store.tables import activity, users

Purpose = Literal["password", "first-admin", "visit"]


class Link(msgspec.Struct, frozen=True):
    """A secret address, by its digest. Nobody's (`user_id` None) while its purpose is the first admin."""

    digest: bytes
    purpose: Purpose
    user_id: str | None
    expires_at: str


class Links:
    """At most one for each user, and one for the first admin. Every method raises StorageUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, link: Link, *, instead_of: str | None = None) -> bool:
        """Keep the link; an older one of the same user, or for the first admin, ends.

        `instead_of`: only while this is the user's link, as `names` has it, empty for none. Return whether it is kept.
        """

        async def replace(transaction: Transaction) -> bool:
            if instead_of is not None:
                rows = await transaction.execute_fetchall(
                    "SELECT digest FROM links WHERE user_id = :user_id", {"user_id": link.user_id}
                )
                if instead_of != "".join(row["digest"].hex() for row in rows):
                    return False
            # SQL's equality knows no NULL; no user has an empty id.
            await transaction.execute_fetchall(
                "DELETE FROM links WHERE coalesce(user_id, '') = :user_id", {"user_id": link.user_id or ""}
            )
            await transaction.execute_fetchall(
                """
                INSERT INTO links (digest, purpose, user_id, expires_at)
                VALUES (:digest, :purpose, :user_id, :expires_at)
                """,
                msgspec.structs.asdict(link),
            )
            return True

        return await self._database.write(replace, housekeeping=True)

    async def names(self) -> dict[str, str]:
        """Return a name for each user's link, its digest in hexadecimal: `{user id: name}`."""
        rows = await self._database.fetch_all("SELECT user_id, digest FROM links WHERE user_id IS NOT NULL")
        return {row["user_id"]: row["digest"].hex() for row in rows}

    async def by_digest(self, digest: bytes) -> Link | None:
        """Return the link, if it may be used; the caller checks whether it has expired.

        None when there is none, its user's client is disabled, or it is for the first admin and there is one.
        """
        row = await self._database.fetch_one(
            """
            SELECT links.* FROM links LEFT JOIN users ON users.id = links.user_id
            LEFT JOIN clients ON clients.id = users.client_id
            WHERE links.digest = :digest AND clients.disabled_at IS NULL
                AND (purpose <> 'first-admin' OR NOT EXISTS (SELECT * FROM users WHERE client_id IS NULL))
            """,
            {"digest": digest},
        )
        return None if row is None else Link(row["digest"], row["purpose"], row["user_id"], row["expires_at"])

    async def add_first_admin(self, user: User, *, password_hash: str, link: bytes, entry: ActivityEntry) -> bool:
        """Use the link up to make `user` the first admin; False if it was used or there is an admin already.

        Raises Duplicate when the e-mail address is taken.
        """

        async def write(transaction: Transaction) -> bool:
            used = await transaction.execute_fetchall(
                """
                DELETE FROM links WHERE digest = :digest AND purpose = 'first-admin'
                AND NOT EXISTS (SELECT * FROM users WHERE client_id IS NULL) RETURNING digest
                """,
                {"digest": link},
            )
            if used:
                await users.insert(transaction, user, password_hash=password_hash)
                await activity.insert(transaction, entry)
            return bool(used)

        try:
            return await self._database.write(write, housekeeping=True)
        except ConstraintViolated:
            raise Duplicate(f"there already is a user with the address {user.email}") from None

    async def set_password(self, user_id: str, *, password_hash: str, link: bytes, entry: ActivityEntry) -> bool:
        """Use the link up to set the password, and end the user's sessions; False if it was used meanwhile."""
        use = "DELETE FROM links WHERE digest = :digest AND user_id = :id AND purpose = 'password' RETURNING 1"

        async def write(transaction: Transaction) -> bool:
            used = await activity.change(transaction, use, {"digest": link, "id": user_id}, entry)
            if used:
                await transaction.execute_fetchall(
                    "UPDATE users SET password_hash = :hash WHERE id = :id", {"hash": password_hash, "id": user_id}
                )
                await users.end_access(transaction, user_id)
            return bool(used)

        return await self._database.write(write, housekeeping=True)
