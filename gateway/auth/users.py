"""The people who sign in to the dashboard: inviting them, their passwords, their sessions.

A member belongs to a client and sees what is the client's; an admin belongs to none and sees everything.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import msgspec
import structlog

from gateway import validation
from gateway.auth import keys
from gateway.auth.guess_throttle import block_of
from gateway.auth.passwords import BUSY_SECONDS, Passwords
from gateway.errors import (
    Duplicate,
    InvalidInput,
    LinkEnded,
    Overloaded,
    RateLimitExceeded,
    SignInRefused,
    StorageUnavailable,
)
from gateway.limiter import Limiter
from gateway.models import ActivityEntry, Actor, RatePolicy, Session, User, Visitor, activity_entry
from gateway.store import Credentials, Link, Purpose, Store
from gateway.times import Clock, format_time, parse_time

LINK_LIFE = timedelta(hours=24)
IDLE_LIFE = timedelta(hours=12)
LONGEST_LIFE = timedelta(days=7)
TOUCH_AFTER = timedelta(minutes=1)
"""How far a session's `last seen` may lag: a page needs no write."""
TRIES = RatePolicy(5, 900)
"""Of one address on one account. Each account has others left for its owner: nobody is locked out."""
TRIES_OF_ADDRESS = RatePolicy(100, 900)

log = structlog.get_logger()


class Browser(msgspec.Struct, frozen=True):
    """Where a request comes from."""

    address: str
    agent: str
    request_id: str


class Users:
    """What people and their operators do about signing in. `choice` picks a random character."""

    def __init__(self, store: Store, passwords: Passwords, clock: Clock, choice: Callable[[str], str]) -> None:
        self._store = store
        self._users = store.users
        self._links = store.links
        self._sessions = store.sessions
        self._passwords = passwords
        self._clock = clock
        self._choice = choice
        self._tries = Limiter(TRIES)
        self._tries_of_address = Limiter(TRIES_OF_ADDRESS)

    async def invite(
        self, email: str, client_slug: str | None, *, by: Actor, user_id: str | None = None
    ) -> tuple[User, str]:
        """A new member of the client, or admin, and the secret of the link to give him.

        Raises InvalidInput, UnknownRecord, Duplicate, that also if `user_id` is given and taken.
        """
        client = None if client_slug is None else await self._store.clients.by_slug(client_slug)
        user = self._new_user(email, None if client is None else client.id, user_id)
        await self._users.add(user, entry=self._deed(by, "user.invite", user))
        return user, await self._new_link("password", user.id)

    async def reset(self, user: User, *, by: Actor, instead_of: str | None = None) -> str:
        """Return the secret of a link to set a new password with; until then the old password works.

        `instead_of` is the name of the user's link, empty for none. Raises Duplicate if that has changed since.
        """
        secret = await self._new_link("password", user.id, instead_of)
        await self._store.activity.record(self._deed(by, "user.reset", user))
        return secret

    async def visit_link(self, user: User) -> str:
        """The secret of a link that signs in whoever has it, for a day."""
        return await self._new_link("visit", user.id)

    async def first_admin_link(self) -> str | None:
        """The secret of the link by which somebody becomes the first admin; None when there is an admin."""
        return None if await self._users.has_admin() else await self._new_link("first-admin", None)

    async def remove(self, user: User, *, by: Actor) -> None:
        """His sessions end with the next click. Raises InvalidInput for the last admin who can sign in."""
        is_removed = await self._users.remove(user.id, entry=self._deed(by, "user.remove", user))
        if not is_removed and user.is_admin:
            raise InvalidInput(f"{user.email} is the last admin who can sign in; invite another admin first")

    async def link(self, secret: str) -> tuple[Link, User | None]:
        """What the link is for, and for whom. Raises LinkEnded."""
        link = await self._links.by_digest(keys.digest(secret))
        if link is None or link.expires_at <= self._now():
            raise LinkEnded
        return link, None if link.user_id is None else await self._users.by_id(link.user_id)

    async def accept(self, secret: str, password: str, browser: Browser, *, email: str = "") -> str:
        """Set the password the link is for and sign in: the new session's secret. All other sessions end.

        `email` is the first admin's, whose link names nobody. Raises LinkEnded, InvalidInput, Duplicate.
        """
        link, user = await self.link(secret)
        if user is None:
            user = self._new_user(email, None)
            password_hash = await self._passwords.hash(password, personal=[user.email])
            is_used = await self._links.add_first_admin(
                user,
                password_hash=password_hash,
                link=link.digest,
                entry=self._deed(_actor(user, browser), "user.invite", user),
            )
        else:
            password_hash = await self._passwords.hash(password, personal=[user.email])
            is_used = await self._links.set_password(
                user.id,
                password_hash=password_hash,
                link=link.digest,
                entry=self._deed(_actor(user, browser), "user.password", user),
            )
        if not is_used:
            raise LinkEnded
        return await self._start_session(user, browser, password_hash)

    async def visit(self, secret: str, browser: Browser) -> str:
        """Sign in by a `visit` link. Raises LinkEnded."""
        link, user = await self.link(secret)
        if user is None or link.purpose != "visit":
            raise LinkEnded
        return await self._start_session(user, browser)

    async def sign_in(self, email: str, password: str, browser: Browser) -> str:
        """The new session's secret. Raises SignInRefused, RateLimitExceeded, Overloaded.

        An unknown address costs and says the same as a wrong password.
        """
        credentials = await self._check(email, password, browser, SignInRefused())
        return await self._start_session(credentials.user, browser, credentials.password_hash)

    async def change_password(self, visitor: Visitor, current: str, new: str, browser: Browser) -> str:
        """End every session; the secret is of a new one. Raises InvalidInput, and as `sign_in` does."""
        user, wrong = visitor.user, SignInRefused("The current password is wrong")
        credentials = await self._check(user.email, current, browser, wrong)
        password_hash = await self._passwords.hash(new, personal=[user.email])
        is_changed = await self._users.change_password(
            user.id,
            password_hash=password_hash,
            instead_of=credentials.password_hash or "",
            entry=self._deed(_actor(user, browser), "user.password", user),
        )
        if not is_changed:
            raise wrong
        return await self._start_session(user, browser, password_hash)

    async def _check(self, email: str, password: str, browser: Browser, wrong: SignInRefused) -> Credentials:
        """Whose address and password these are; raises `wrong` for nobody's, and what `sign_in` does."""
        account = self._count_try(email, browser)
        credentials = await self._users.credentials(email)
        is_right = await self._passwords.matches(password, credentials.password_hash if credentials else None)
        if credentials is None or not is_right:
            user_id = credentials.user.id if credentials else None
            log.info("password_refused", user=user_id, address=browser.address, request_id=browser.request_id)
            raise wrong
        self._tries.forget(account)
        return credentials

    async def visitor(self, secret: str) -> Visitor | None:
        """Who is signed in with this secret; None when nobody is, or no longer."""
        visitor = await self._sessions.visitor(keys.digest(secret))
        if visitor is None:
            return None
        now = self._clock.now()
        session = visitor.session
        idle = now - parse_time(session.last_seen_at)
        if idle > IDLE_LIFE or now - parse_time(session.created_at) > LONGEST_LIFE:
            return None
        if idle > TOUCH_AFTER:
            with suppress(StorageUnavailable):  # A full disk must not hide the page that says so.
                await self._sessions.touch(session.user_id, session.id, format_time(now))
        return visitor

    async def sessions(self, user: User) -> list[Session]:
        """Those that still hold, last seen first."""
        now = self._clock.now()
        return [
            session
            for session in await self._sessions.of_user(user.id)
            if session.last_seen_at > format_time(now - IDLE_LIFE)
            and session.created_at > format_time(now - LONGEST_LIFE)
        ]

    async def end_session(self, user: User, session_id: str) -> None:
        await self._sessions.remove(user.id, session_id)

    async def end_all_sessions(self, user: User) -> None:
        await self._sessions.remove_all(user.id)

    def _count_try(self, email: str, browser: Browser) -> str:
        """The name under which tries of this account from this address are counted. Raises as `sign_in` does.

        Refused tries are not counted: neither does a flood on one account lock others of its address out, nor a busy
        moment him who tries again.
        """
        block = block_of(browser.address)
        account = f"{block} {keys.digest(email.casefold()).hex()}"
        now = self._clock.monotonic()
        for limiter, name in ((self._tries, account), (self._tries_of_address, block)):
            if limiter.refuses(name, now):
                raise _too_many_tries(limiter.take(name, None, now).next_token_seconds)
        if self._passwords.is_busy:
            raise Overloaded(retry_after=BUSY_SECONDS)
        self._tries.take(account, None, now)
        self._tries_of_address.take(block, None, now)
        return account

    async def _start_session(self, user: User, browser: Browser, password_hash: str | None = None) -> str:
        """Its secret. With a hash only while this is the user's password: else raises SignInRefused."""
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
            ended_before=format_time(now - IDLE_LIFE),
            entry=self._deed(_actor(user, browser), "user.sign-in", user),
        )
        if not is_started:
            raise SignInRefused
        return secret

    async def _new_link(self, purpose: Purpose, user_id: str | None, instead_of: str | None = None) -> str:
        secret = keys.mint_secret(self._choice)
        expires_at = format_time(self._clock.now() + LINK_LIFE)
        link = Link(keys.digest(secret), purpose, user_id, expires_at)
        if not await self._links.put(link, instead_of=instead_of):
            raise Duplicate("the user's link was made, used or replaced meanwhile")
        return secret

    def _new_user(self, email: str, client_id: int | None, user_id: str | None = None) -> User:
        return User(
            id=user_id or keys.mint_id("user", self._choice),
            client_id=client_id,
            email=validation.email("the e-mail address", email),
            created_at=self._now(),
        )

    def _deed(self, by: Actor, action: str, user: User) -> ActivityEntry:
        return activity_entry(by, action, user, at=self._now())

    def _now(self) -> str:
        return format_time(self._clock.now())


def _actor(user: User, browser: Browser) -> Actor:
    return Actor(user.email, browser.address, browser.request_id, user.is_admin)


def _too_many_tries(seconds: int) -> RateLimitExceeded:
    minutes = -(-seconds // 60)
    return RateLimitExceeded(
        f"Too many tries: come back in {minutes} minute{'' if minutes == 1 else 's'}", retry_after=seconds
    )
