"""Links that let people in: to set a password, to visit once without one, to become the first admin."""

from collections.abc import Callable
from datetime import timedelta

from gateway.auth import keys
from gateway.errors import Duplicate, LinkEnded
from gateway.models import User
from gateway.store import Link, Purpose, Store
from gateway.times import Clock, format_time


class Links:
    """Links by their secret. A newer link of a user ends the older one. `choice` picks a random character."""

    def __init__(self, store: Store, clock: Clock, choice: Callable[[str], str], *, life: timedelta) -> None:
        self._life = life
        self._links = store.links
        self._users = store.users
        self._clock = clock
        self._choice = choice

    async def to_set_password(self, user: User, *, instead_of: str | None = None) -> str:
        """Return the secret of a link by which the user sets a password, once.

        `instead_of` is the name of the user's link, empty for none. Raises Duplicate if that has changed since.
        """
        return await self._create("password", user.id, instead_of)

    async def to_visit(self, user: User) -> str:
        """Return the secret of a link that signs in whoever has it, for a day."""
        return await self._create("visit", user.id)

    async def to_become_first_admin(self) -> str | None:
        """Return the secret of a link by which somebody becomes the first admin; None when there is an admin."""
        return None if await self._users.has_admin() else await self._create("first-admin", None)

    async def find(self, secret: str) -> tuple[Link, User | None]:
        """Return the link and its user; no user while it is for the first admin. Raises LinkEnded."""
        link = await self._links.by_digest(keys.digest(secret))
        if link is None or link.expires_at <= format_time(self._clock.now()):
            raise LinkEnded
        return link, None if link.user_id is None else await self._users.by_id(link.user_id)

    async def _create(self, purpose: Purpose, user_id: str | None, instead_of: str | None = None) -> str:
        secret = keys.mint_secret(self._choice)
        expires_at = format_time(self._clock.now() + self._life)
        link = Link(keys.digest(secret), purpose, user_id, expires_at)
        if not await self._links.put(link, instead_of=instead_of):
            raise Duplicate("the user's link was made, used or replaced meanwhile")
        return secret
