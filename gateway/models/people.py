"""People who sign in, and their sessions."""

import msgspec

from gateway.models.clients import Client


class User(msgspec.Struct, frozen=True):
    """A person who signs in to the dashboard: a client's member or, of no client, the operator's admin."""

    id: str
    client_id: int | None
    email: str
    created_at: str
    has_password: bool = False
    last_sign_in_at: str | None = None
    has_second_factor: bool = False

    @property
    def is_admin(self) -> bool:
        """Whether the user is the operator's, and no client's."""
        return self.client_id is None


class Session(msgspec.Struct, frozen=True):
    """A browser that is signed in; its secret is not here."""

    id: str
    user_id: str
    created_at: str
    last_seen_at: str
    address: str
    agent: str


class Visitor(msgspec.Struct, frozen=True):
    """Who looks at a page: a user through one of his sessions. `client` is a member's, None for an admin.

    One who `lacks_second_factor` must have one and sets it up first: no other page opens.
    """

    user: User
    client: Client | None
    session: Session
    lacks_second_factor: bool = False
