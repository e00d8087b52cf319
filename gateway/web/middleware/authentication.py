"""Finds out whose key a request carries, or refuses it with one and the same 401."""

import asyncio
from datetime import datetime
from typing import Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.auth import keys
from gateway.auth.guess_throttle import AuthThrottle
from gateway.errors import Unauthorized
from gateway.models import Principal
from gateway.times import Clock
from gateway.web.credentials import CLAIMED_ID_KEY, KnownKeys, digest_of, presented_key
from gateway.web.request_context import SCOPE_KEY, RequestContext

Origin = tuple[str, bytes]
"""An address, and the beginning of the User-Agent header that came from there."""

PRINCIPAL_KEY = "gateway.principal"
LONGEST_AGENT = 200


class KeyDirectory(Protocol):
    """Knows keys by their digest."""

    def remembered(self, digest: bytes) -> Principal | None: ...

    async def principal(self, digest: bytes) -> Principal | None: ...


class CallCounter(Protocol):
    """Counts the calls of each key and remembers the last one. Whence it came is asked now and then only."""

    def count_again(self, key_id: str, moment: float) -> bool: ...

    def count_first(self, key_id: str, moment: float, *, address: str | None, agent: str | None) -> None: ...


class CallerLog(Protocol):
    """Notes from where and by what keys are called. Most calls come from who is noted."""

    def is_noted(self, key_id: str, origin: Origin, moment: float) -> bool: ...

    def note(self, key_id: str, origin: Origin, moment: float, *, agent: str | None) -> None: ...


class AuthenticationMiddleware:
    """Puts the Principal into the scope. Raises Unauthorized."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        directory: KeyDirectory,
        calls: CallCounter,
        callers: CallerLog,
        clock: Clock,
        throttle: AuthThrottle,
        known_keys: KnownKeys | None = None,
    ) -> None:
        """`known_keys` learn which keys are good; who is let in is decided by the directory alone."""
        self._app = app
        self._known_keys = known_keys or KnownKeys()
        self._directory = directory
        self._calls = calls
        self._callers = callers
        self._clock = clock
        self._throttle = throttle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            now = self._clock.now()
            digest = digest_of(scope)
            principal = self._directory.remembered(digest) or await self._look_up(scope, digest)
            self._accept(scope, digest, principal, now)
        await self._app(scope, receive, send)

    def _accept(self, scope: Scope, digest: bytes, principal: Principal | None, now: datetime) -> None:
        """Record the key's owner and count the call. Raises Unauthorized if the key is unknown or expired.

        So it does if the key has another id than the one that came with it, which counts as a guess.
        """
        if principal is None or keys.is_expired(principal, now):
            self._known_keys.forget(digest)
            raise Unauthorized(credentials_sent=True)
        if scope.get(CLAIMED_ID_KEY, principal.key_id) != principal.key_id:
            self._throttle.note_bad(client_address(scope), digest, self._clock.monotonic())
            raise Unauthorized(credentials_sent=True)
        self._known_keys.note_good(digest, principal.client.id)
        scope[PRINCIPAL_KEY] = principal
        context: RequestContext = scope[SCOPE_KEY]
        context.client = principal.client.slug
        context.key_id = principal.key_id
        context.key_used_at = moment = now.timestamp()
        if not self._calls.count_again(principal.key_id, moment):
            self._calls.count_first(
                principal.key_id, moment, address=client_address(scope) or None, agent=user_agent(scope)
            )
        origin = _origin_of(scope)
        if not self._callers.is_noted(principal.key_id, origin, moment):
            self._callers.note(principal.key_id, origin, moment, agent=user_agent(scope))

    async def _look_up(self, scope: Scope, digest: bytes) -> Principal | None:
        if not keys.is_well_formed(presented_key(scope)):
            return None
        address = client_address(scope)
        throttle, now = self._throttle, self._clock.monotonic()
        wait = throttle.wait_seconds(address, digest, now)
        if wait is None:
            return None
        if wait:
            await asyncio.sleep(wait)
        principal = await self._directory.principal(digest)
        if principal is None:
            throttle.note_bad(address, digest, now)
        else:
            throttle.note_good(digest)
        return principal


def client_address(scope: Scope) -> str:
    """Return the caller's address, or that of the proxy in front if none is trusted."""
    client = scope.get("client")
    return client[0] if client else ""


def _origin_of(scope: Scope) -> Origin:
    """Return the caller's address and the beginning of what it calls itself, as it came: enough to tell callers."""
    for name, value in scope["headers"]:
        if name == b"user-agent":
            return client_address(scope), value[:LONGEST_AGENT]
    return client_address(scope), b""


def user_agent(scope: Scope) -> str | None:
    """Return what the caller calls itself: at most 200 printable characters; None for nothing, or for a key."""
    said = next((value for name, value in scope["headers"] if name == b"user-agent"), b"").decode("latin-1")
    agent = "".join(character for character in said if character.isprintable())[:LONGEST_AGENT]
    return None if keys.PREFIX in agent else agent or None
