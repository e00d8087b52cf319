"""What operators do with people who sign in: invite, reset the password, remove.

A member belongs to a client and sees what is the client's; an admin belongs to none and sees everything.
"""

from collections.abc import Callable

from gateway import validation
from gateway.auth import keys
from gateway.auth.links import Links
from gateway.errors import InvalidInput
from gateway.models import ActivityEntry, Actor, User, activity_entry
from gateway.store import Store
from gateway.times import Clock, format_time


class Users:
    """Members and admins. `choice` picks a random character; `by` is who the activity log says it was."""

    def __init__(self, store: Store, links: Links, clock: Clock, choice: Callable[[str], str]) -> None:
        self._clients = store.clients
        self._users = store.users
        self._activity = store.activity
        self._links = links
        self._clock = clock
        self._choice = choice

    async def invite(
        self, email: str, client_slug: str | None, *, by: Actor, user_id: str | None = None
    ) -> tuple[User, str]:
        """Add a member of the client, or an admin, and return the secret of the link to give to the user.

        Raises InvalidInput, UnknownRecord, and Duplicate if the address or a given `user_id` is taken.
        """
        client = None if client_slug is None else await self._clients.by_slug(client_slug)
        user = self.new_user(email, None if client is None else client.id, user_id)
        await self._users.add(user, entry=self._entry(by, "user.invite", user))
        return user, await self._links.to_set_password(user)

    async def reset(self, user: User, *, by: Actor, instead_of: str | None = None) -> str:
        """Return the secret of a link to set a new password with; until then the old password works.

        `instead_of` is the name of the user's link, empty for none. Raises Duplicate if that has changed since.
        """
        secret = await self._links.to_set_password(user, instead_of=instead_of)
        await self._activity.record(self._entry(by, "user.reset", user))
        return secret

    async def remove(self, user: User, *, by: Actor) -> None:
        """Remove the user, and end the sessions. Raises InvalidInput for the last admin who can sign in."""
        is_removed = await self._users.remove(user.id, entry=self._entry(by, "user.remove", user))
        if not is_removed and user.is_admin:
            raise InvalidInput(f"{user.email} is the last admin who can sign in; invite another admin first")

    def new_user(self, email: str, client_id: int | None, user_id: str | None = None) -> User:
        """Return a user who is not stored yet; an admin if `client_id` is None. Raises InvalidInput."""
        return User(
            id=user_id or keys.mint_id("user", self._choice),
            client_id=client_id,
            email=validation.email("the e-mail address", email),
            created_at=self._now(),
        )

    def _entry(self, by: Actor, action: str, user: User) -> ActivityEntry:
        return activity_entry(by, action, user, at=self._now())

    def _now(self) -> str:
        return format_time(self._clock.now())
