"""Signing in: by a password, by a link, and by setting or changing a password. Each ends in a new session."""

import structlog

from gateway.auth.links import Links
from gateway.auth.passwords import Passwords
from gateway.auth.sessions import Browser, Sessions
from gateway.auth.sign_in_throttle import SignInThrottle, tries_at, tries_in
from gateway.auth.users import Users
from gateway.errors import LinkEnded, SignInRefused
from gateway.models import ActivityEntry, User, Visitor, activity_entry
from gateway.store import Credentials, Link, Store
from gateway.times import Clock, format_time

log = structlog.get_logger()


class SignIn:
    """The ways in. Each returns the secret of the session it starts."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        passwords: Passwords,
        throttle: SignInThrottle,
        users: Users,
        links: Links,
        sessions: Sessions,
    ) -> None:
        self._store = store
        self._clock = clock
        self._passwords = passwords
        self._throttle = throttle
        self._users = users
        self._links = links
        self._sessions = sessions

    async def by_password(self, email: str, password: str, browser: Browser) -> str:
        """Sign in. Raises SignInRefused, RateLimitExceeded, Overloaded.

        An unknown address costs and says the same as a wrong password.
        """
        name = tries_at(browser.address, email)
        async with self._throttle.slot_at(browser.address, name):
            credentials = await self._check(email, password, browser, SignInRefused(), name)
        return await self._sessions.start(credentials.user, browser, password_hash=credentials.password_hash)

    async def by_link(self, secret: str, browser: Browser) -> str:
        """Sign in by a link to visit, without a password. Raises LinkEnded."""
        link, user = await self._links.find(secret)
        if user is None or link.purpose != "visit":
            raise LinkEnded
        return await self._sessions.start(user, browser)

    async def set_password(self, secret: str, password: str, browser: Browser, *, email: str = "") -> str:
        """Set the password the link is for, and sign in; all other sessions of the user end.

        `email` is the first admin's, whose link has no user. Raises LinkEnded, InvalidInput, Duplicate, Overloaded.
        """
        link, known = await self._links.find(secret)
        user = known or self._users.new_user(email, client_id=None)
        async with self._throttle.slot_of(known.id if known else link.digest.hex()):
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
        return await self._sessions.start(user, browser, password_hash=password_hash)

    async def change_password(self, visitor: Visitor, current: str, new: str, browser: Browser) -> str:
        """Change the visitor's password, and sign in anew; all other sessions of the user end.

        Raises InvalidInput, SignInRefused, RateLimitExceeded, Overloaded.
        """
        user, wrong = visitor.user, SignInRefused("The current password is wrong")
        async with self._throttle.slot_of(user.id):
            credentials = await self._check(user.email, current, browser, wrong, tries_in(visitor.session))
            password_hash = await self._passwords.hash(new, personal=[user.email])
        is_changed = await self._store.users.change_password(
            user.id,
            password_hash=password_hash,
            instead_of=credentials.password_hash or "",
            entry=self._entry("user.password", user, browser),
        )
        if not is_changed:
            raise wrong
        return await self._sessions.start(user, browser, password_hash=password_hash)

    async def _become_first_admin(self, user: User, password_hash: str, link: Link, browser: Browser) -> bool:
        entry = self._entry("user.invite", user, browser)
        return await self._store.links.add_first_admin(user, password_hash=password_hash, link=link.digest, entry=entry)

    async def _check(
        self, email: str, password: str, browser: Browser, wrong: SignInRefused, tries: str
    ) -> Credentials:
        """Return whose address and password these are. Raises `wrong` for nobody's, RateLimitExceeded.

        The account is read before its try is counted: a failing database costs no try.
        """
        credentials = await self._store.users.credentials(email)
        forgive = await self._throttle.count(tries)
        is_right = await self._passwords.matches(password, credentials.password_hash if credentials else None)
        if credentials is None or not is_right:
            user_id = credentials.user.id if credentials else None
            log.info("password_refused", user=user_id, address=browser.address, request_id=browser.request_id)
            raise wrong
        await forgive()
        return credentials

    def _entry(self, action: str, user: User, browser: Browser) -> ActivityEntry:
        return activity_entry(browser.actor(user), action, user, at=format_time(self._clock.now()))
