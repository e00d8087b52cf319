"""Sessions of browsers: started by a sign-in, found again by their secret, listed and ended."""

from collections.abc import Callable
from contextlib import suppress

import msgspec

from gateway.auth import keys
from gateway.auth.timings import SessionTimings
from gateway.errors import SignInRefused, StorageUnavailable
from gateway.models import Actor, Session, User, Visitor, activity_entry
from gateway.store import Store
from gateway.times import Clock, format_time, parse_time


class Browser(msgspec.Struct, frozen=True):
    """Where a request comes from."""

    address: str
    agent: str
    request_id: str

    def actor(self, user: User) -> Actor:
        """Return who the activity log names when `user` does something in this browser."""
        return Actor(user.email, self.address, self.request_id, user.is_admin)


class Sessions:
    """Browsers that are signed in. `choice` picks a random character."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        choice: Callable[[str], str],
        timings: SessionTimings,
        *,
        admins_need_second_factor: bool,
    ) -> None:
        self._timings = timings
        self._admins_need_second_factor = admins_need_second_factor
        self._sessions = store.sessions
        self._clock = clock
        self._choice = choice

    async def start(
        self, user: User, browser: Browser, *, password_hash: str | None = None, has_proof: bool = False
    ) -> str:
        """Start a session and return its secret. `has_proof`: of the second factor, which a user who has one needs.

        Raises SignInRefused if the user was removed or, where a hash is given, has another password meanwhile.
        """
        secret = keys.mint_secret(self._choice)
        now = self._clock.now()
        session = Session(
            id=keys.mint_id("session", self._choice),
            user_id=user.id,
            created_at=format_time(now),
            last_seen_at=format_time(now),
            address=browser.address,
            agent=browser.agent,
        )
        is_started = await self._sessions.add(
            session,
            digest=keys.digest(secret),
            password_hash=password_hash,
            has_proof=has_proof,
            ended_before=format_time(now - self._timings.idle_life),
            entry=activity_entry(browser.actor(user), "user.sign-in", user, at=format_time(now)),
            noted_since=format_time(now - self._timings.noted),
        )
        if not is_started:
            raise SignInRefused
        return secret

    async def visitor(self, secret: str) -> Visitor | None:
        """Return who is signed in with this secret; None when nobody is, or no longer."""
        visitor = await self._sessions.visitor(keys.digest(secret))
        if visitor is None:
            return None
        now = self._clock.now()
        session = visitor.session
        idle = now - parse_time(session.last_seen_at)
        if idle > self._timings.idle_life or now - parse_time(session.created_at) > self._timings.life:
            return None
        if idle > self._timings.last_seen_lag:
            with suppress(StorageUnavailable):  # A full disk must not hide the page that says so.
                await self._sessions.touch(session.user_id, session.id, format_time(now))
        return self._with_what_it_lacks(visitor)

    async def of_user(self, user: User) -> list[Session]:
        """Return the user's sessions that have not ended, last seen first."""
        now = self._clock.now()
        return [
            session
            for session in await self._sessions.of_user(user.id)
            if session.last_seen_at > format_time(now - self._timings.idle_life)
            and session.created_at > format_time(now - self._timings.life)
        ]

    async def end(self, user: User, session_id: str) -> None:
        """End one of the user's sessions; another user's is not touched."""
        await self._sessions.remove(user.id, session_id)

    async def end_all(self, user: User) -> None:
        """End every session of the user's."""
        await self._sessions.remove_all(user.id)

    def _with_what_it_lacks(self, visitor: Visitor) -> Visitor:
        user = visitor.user
        if self._admins_need_second_factor and user.is_admin and not user.has_second_factor:
            return msgspec.structs.replace(visitor, lacks_second_factor=True)
        return visitor
