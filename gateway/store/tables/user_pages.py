"""What pages show of people: a page of them, however many there are."""

from gateway.models import User
from gateway.store.database import Database
from gateway.store.tables.excerpts import Excerpt, LongList
from gateway.store.tables.users import user_from

MEMBERS_OF_CLIENT = LongList(
    columns="*",
    rows="users",
    text="email",
    usual="number",
    number="number",
    orders={
        "email": "lower(email)",
        "signed_in": "coalesce(last_sign_in_at, '')",
        "invited": "created_at",
    },
)
ALL_USERS = LongList(
    columns="users.*",
    rows="users LEFT JOIN clients ON clients.id = users.client_id",
    text="email || ' ' || CASE WHEN users.client_id IS NULL THEN 'admin' ELSE clients.name || ' ' || clients.slug END",
    usual="users.client_id IS NOT NULL, users.client_id, number",
    number="number",
    orders={**MEMBERS_OF_CLIENT.orders, "invited": "users.created_at", "client": "lower(coalesce(clients.name, ''))"},
)


class UserPages:
    """Members of one client, whose `client_id` comes first, or for the operator everybody.

    Every method raises StorageUnavailable. The orders are `email`, `signed_in` and `invited`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_client(self, client_id: int, excerpt: Excerpt) -> tuple[list[User], int]:
        """Return a page of the members with the query in the address, oldest first, and how many there are."""
        rows, total = await MEMBERS_OF_CLIENT.read(
            self._database, excerpt, condition="client_id = :client_id", parameters={"client_id": client_id}
        )
        return [user_from(row) for row in rows], total

    async def all(self, excerpt: Excerpt) -> tuple[list[User], int]:
        """Return a page of everybody, admins first; the query may be in the client's name or slug, or be `admin`.

        There is also the order `client`.
        """
        rows, total = await ALL_USERS.read(self._database, excerpt, parameters={})
        return [user_from(row) for row in rows], total
