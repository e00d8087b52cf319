"""Signing in: by a password, by a link, and by setting or changing a password. Each ends in a new session.

Who has a second factor comes to a pending sign-in first, which opens nothing: `by_code` makes a session of it.
"""

from collections.abc import Callable
from datetime import timedelta

import msgspec

from gateway.auth import keys
from gateway.auth.code_check import CodeCheck
from gateway.auth.links import Links
from gateway.auth.password_check import PasswordCheck
from gateway.auth.passwords import Passwords
from gateway.auth.sessions import Browser, Sessions
from gateway.auth.sign_in_throttle import SignInThrottle, changes_of, tries_at
from gateway.auth.users import Users
from gateway.errors import ClientDisabled, CodeRefused, LinkEnded, SignInEnded, SignInRefused
from gateway.models import ActivityEntry, User, Visitor, activity_entry
from gateway.store import Credentials, Link, Proof, Store
from gateway.times import Clock, format_time


class SignedIn(msgspec.Struct, frozen=True):
    """What a right password leads to: the secret of a session or, if it `needs_code`, of a pending sign-in."""

    secret: str
    needs_code: bool = False

    def __repr__(self) -> str:
        return f"SignedIn(needs_code={self.needs_code})"


class SignIn:
    """The ways in."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        choice: Callable[[str], str],
        *,
        passwords: Passwords,
        throttle: SignInThrottle,
        check: PasswordCheck,
        codes: CodeCheck,
        users: Users,
        links: Links,
        sessions: Sessions,
        code_wait: timedelta,
    ) -> None:
        """`choice` picks a random character; `code_wait` is how long a sign-in waits for a code."""
        self._store = store
        self._clock = clock
        self._choice = choice
        self._passwords = passwords
        self._throttle = throttle
        self._check = check
        self._codes = codes
        self._users = users
        self._links = links
        self._sessions = sessions
        self._code_wait = code_wait

    async def by_password(self, email: str, password: str, browser: Browser) -> SignedIn:
        """Sign in. Raises SignInRefused, RateLimitExceeded, Overloaded.

        An unknown address costs and says the same as a wrong password.
        """
        name = tries_at(browser.address, email)
        async with self._throttle.slot_at(browser.address, name):
            credentials = await self._check.check(email, password, browser, SignInRefused(), name)
        return await self._admit(credentials, browser)

    async def by_code(self, pending: str, code: str, browser: Browser) -> str:
        """Complete a pending sign-in, and return the secret of the session.

        Raises SignInEnded when it waits no longer; CodeRefused, RateLimitExceeded.
        """

        async def spend(proof: Proof | None) -> Credentials | None:
            return await self._store.pending_sign_ins.complete(keys.digest(pending), proof, now=self._now())

        user = await self.user_of_pending(pending)
        try:
            credentials = await self._codes.take(user, code, browser, spend)
        except CodeRefused:
            await self.user_of_pending(pending)  # It may have been the last try.
            raise
        _require_enabled(credentials)
        return await self._sessions.start(
            credentials.user, browser, password_hash=credentials.password_hash, has_proof=True
        )

    async def user_of_pending(self, pending: str) -> User:
        """Return whose sign-in waits for a code. Raises SignInEnded."""
        user = await self._store.pending_sign_ins.user_of(keys.digest(pending), now=self._now())
        if user is None:
            raise SignInEnded
        return user

    async def by_link(self, secret: str, browser: Browser) -> str:
        """Sign in by a link to visit, without a password, and return the secret of the session. Raises LinkEnded."""
        link, user = await self._links.find(secret)
        if user is None or link.purpose != "visit":
            raise LinkEnded
        return await self._sessions.start(user, browser)

    async def set_password(self, secret: str, password: str, browser: Browser, *, email: str = "") -> SignedIn:
        """Set the password the link is for, and sign in; all other sessions of the user end. A second factor stays.

        `email` is the first admin's, whose link has no user. Raises LinkEnded, InvalidInput, Duplicate, Overloaded.
        """
        link, known = await self._links.find(secret)
        user = known or self._users.new_user(email, client_id=None)
        async with self._throttle.slot_of(known.id if known else link.digest.hex(), user.client_id):
            password_hash = await self._passwords.hash(password, personal=[user.email])
        if known is None:
            is_used = await self._become_first_admin(user, password_hash, link, browser)
        else:
            entry = self._entry("user.password", user, browser)
            is_used = await self._store.links.set_password(
                user.id, password_hash=password_hash, link=link.digest, entry=entry
            )
        if not is_used:
            raise LinkEnded
        return await self._admit(Credentials(user, password_hash), browser)

    async def change_password(self, visitor: Visitor, current: str, new: str, browser: Browser) -> str:
        """Change the visitor's password, sign in anew and return the session's secret; his other sessions end.

        Raises InvalidInput, SignInRefused, RateLimitExceeded, Overloaded.
        """
        user = visitor.user
        async with self._throttle.slot_of(user.id, user.client_id):
            credentials = await self._check.check_current(visitor, current, browser)
            password_hash = await self._passwords.hash(new, personal=[user.email])
        await self._throttle.count(changes_of(user.id))
        is_changed = await self._store.users.change_password(
            user.id,
            password_hash=password_hash,
            instead_of=credentials.password_hash or "",
            entry=self._entry("user.password", user, browser),
        )
        if not is_changed:
            raise SignInRefused("The current password is wrong")
        return await self._sessions.start(user, browser, password_hash=password_hash, has_proof=user.has_second_factor)

    async def _admit(self, credentials: Credentials, browser: Browser) -> SignedIn:
        """Start a session or, for a user with a second factor, a pending sign-in. Raises SignInRefused."""
        user, password_hash = credentials.user, credentials.password_hash
        self._throttle.note_good(browser.address, user.client_id)
        _require_enabled(credentials)
        if not user.has_second_factor:
            return SignedIn(await self._sessions.start(user, browser, password_hash=password_hash))
        secret, now = keys.mint_secret(self._choice), self._clock.now()
        is_pending = await self._store.pending_sign_ins.add(
            user,
            keys.digest(secret),
            password_hash=password_hash or "",
            now=format_time(now),
            expires_at=format_time(now + self._code_wait),
        )
        if not is_pending:
            raise SignInRefused
        return SignedIn(secret, needs_code=True)

    async def _become_first_admin(self, user: User, password_hash: str, link: Link, browser: Browser) -> bool:
        entry = self._entry("user.invite", user, browser)
        return await self._store.links.add_first_admin(user, password_hash=password_hash, link=link.digest, entry=entry)

    def _entry(self, action: str, user: User, browser: Browser) -> ActivityEntry:
        return activity_entry(browser.actor(user), action, user, at=self._now())

    def _now(self) -> str:
        return format_time(self._clock.now())


def _require_enabled(credentials: Credentials) -> None:
    """Raise ClientDisabled, which only who knows the password is told."""
    if credentials.disabled_client is not None:
        raise ClientDisabled(credentials.disabled_client)
