"""Every statement about the table `users`: who may sign in.

No API request reads any of it, so each write is housekeeping: the keys read so far stay cached.
"""

import msgspec

from gateway.errors import Duplicate, UnknownRecord
from gateway.models import ActivityEntry, User
from gateway.store.database import ConstraintViolated, Database, Parameters, Row, Transaction
from gateway.store.tables import activity


class Credentials(msgspec.Struct, frozen=True):
    """A user with what his password is compared to; None before he has set one.

    `disabled_client` is the name of his client while that is disabled.
    """

    user: User
    password_hash: str | None
    disabled_client: str | None = None

    def __repr__(self) -> str:
        return f"Credentials({self.user.id})"


WITH_CLIENT = """
    SELECT users.*, CASE WHEN clients.disabled_at IS NOT NULL THEN clients.name END AS disabled_client
    FROM users LEFT JOIN clients ON clients.id = users.client_id
    """


class Users:
    """People, by id or e-mail address. Every method raises StorageUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, user: User, *, entry: ActivityEntry) -> None:
        """Add a user without a password. Raises Duplicate when the e-mail address, in whatever case, is taken."""

        async def write(transaction: Transaction) -> None:
            await insert(transaction, user, password_hash=None)
            await activity.insert(transaction, entry)

        try:
            await self._database.write(write, housekeeping=True)
        except ConstraintViolated:
            raise Duplicate(f"there already is a user with the address {user.email}") from None

    async def all(self) -> list[User]:
        """Return every user: admins first, then members by client, oldest first."""
        return await self._select("ORDER BY client_id IS NOT NULL, client_id, number", {})

    async def of_client(self, client_id: int) -> list[User]:
        """Return the client's members, oldest first."""
        return await self._select("WHERE client_id = :client_id ORDER BY number", {"client_id": client_id})

    async def by_id(self, user_id: str) -> User:
        """Return the user. Raises UnknownRecord."""
        users = await self._select("WHERE id = :id", {"id": user_id})
        if not users:
            raise UnknownRecord(f"there is no user {user_id!r}")
        return users[0]

    async def by_email(self, email: str) -> User:
        """Return the user with this address, in whatever case. Raises UnknownRecord."""
        users = await self._select("WHERE lower(email) = :email", {"email": _lower(email)})
        if not users:
            raise UnknownRecord(f"there is no user with the address {email!r}; see: gateway user list")
        return users[0]

    async def has_admin(self) -> bool:
        """Tell whether there is an admin."""
        return bool(await self._select("WHERE client_id IS NULL LIMIT 1", {}))

    async def only_able_admin(self) -> User | None:
        """Return the admin who can sign in if there is one alone, else None."""
        able = await self._select("WHERE client_id IS NULL AND password_hash IS NOT NULL LIMIT 2", {})
        return able[0] if len(able) == 1 else None

    async def credentials(self, email: str) -> Credentials | None:
        """Return what a sign-in is checked against; None when nobody has this address."""
        row = await self._database.fetch_one(f"{WITH_CLIENT} WHERE lower(email) = :email", {"email": _lower(email)})
        return None if row is None else _credentials_of(row)

    async def change_password(self, user_id: str, *, password_hash: str, instead_of: str, entry: ActivityEntry) -> bool:
        """Set the password, and end the user's sessions and link; False if it is no longer `instead_of`."""
        update = "UPDATE users SET password_hash = :new WHERE id = :id AND password_hash = :old RETURNING 1"
        values = {"new": password_hash, "id": user_id, "old": instead_of}

        async def write(transaction: Transaction) -> bool:
            changed = await activity.change(transaction, update, values, entry)
            if changed:
                await end_access(transaction, user_id)
            return bool(changed)

        return await self._database.write(write, housekeeping=True)

    async def remove(self, user_id: str, *, entry: ActivityEntry) -> bool:
        """Remove the user with his link and sessions; False for nobody, and for the last admin who can sign in."""
        sql = """
            DELETE FROM users WHERE id = :id AND (client_id IS NOT NULL OR password_hash IS NULL OR EXISTS
                (SELECT * FROM users WHERE client_id IS NULL AND password_hash IS NOT NULL AND id <> :id)) RETURNING 1
            """
        removed = await self._database.write(
            lambda transaction: activity.change(transaction, sql, {"id": user_id}, entry), housekeeping=True
        )
        return bool(removed)

    async def _select(self, condition: str, parameters: Parameters) -> list[User]:
        rows = await self._database.fetch_all(f"SELECT * FROM users {condition}", parameters)  # noqa: S608 - ours
        return [user_from(row) for row in rows]


def _lower(email: str) -> str:
    """Return the address as lower() in both databases does: only ASCII letters are changed."""
    return email.encode().lower().decode()


def user_from(row: Row) -> User:
    """Return the user of a row of the table."""
    return User(
        id=row["id"],
        client_id=row["client_id"],
        email=row["email"],
        created_at=row["created_at"],
        has_password=row["password_hash"] is not None,
        last_sign_in_at=row["last_sign_in_at"],
        has_second_factor=row["totp_since"] is not None,
    )


def _credentials_of(row: Row) -> Credentials:
    return Credentials(user_from(row), row["password_hash"], row["disabled_client"])


async def credentials_from(transaction: Transaction, user_id: str) -> Credentials | None:
    """Return the user's credentials as the transaction that is under way sees them; None if there is no such user."""
    rows = await transaction.execute_fetchall(f"{WITH_CLIENT} WHERE users.id = :id", {"id": user_id})
    return next(map(_credentials_of, rows), None)


async def insert(transaction: Transaction, user: User, *, password_hash: str | None) -> None:
    """Write a new user in the transaction that is under way. Raises ConstraintViolated."""
    await transaction.execute_fetchall(
        """
        INSERT INTO users (id, client_id, email, password_hash, created_at)
        VALUES (:id, :client_id, :email, :password_hash, :created_at)
        """,
        {**msgspec.structs.asdict(user), "password_hash": password_hash},
    )


async def end_access(transaction: Transaction, user_id: str) -> None:
    """End the user's sessions, also pending ones, and link in the transaction that is under way."""
    await transaction.execute_fetchall("DELETE FROM sessions WHERE user_id = :id", {"id": user_id})
    await transaction.execute_fetchall("DELETE FROM links WHERE user_id = :id", {"id": user_id})
    await end_pending_sign_ins(transaction, user_id)


async def end_pending_sign_ins(transaction: Transaction, user_id: str) -> None:
    """End the user's sign-ins that wait for a code in the transaction that is under way."""
    await transaction.execute_fetchall("DELETE FROM pending_sign_ins WHERE user_id = :id", {"id": user_id})
