"""Finds out whose key a request carries, guards against guesses, counts calls and notes who called."""

import asyncio
from datetime import datetime
from typing import Protocol

from starlette.types import Scope

from gateway.auth import keys
from gateway.auth.guess_throttle import AuthThrottle
from gateway.errors import Unauthorized
from gateway.models import Principal
from gateway.times import Clock
from gateway.web.caller import Origin, client_address, origin_of, user_agent
from gateway.web.credentials import CLAIMED_ID_KEY, KnownKeys, presented_key
from gateway.web.request_context import SCOPE_KEY, RequestContext

PRINCIPAL_KEY = "gateway.principal"


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


class KeyCheck:
    """Checks keys. One for a process: those asked about before the application is asked are the same keys."""

    def __init__(
        self,
        *,
        directory: KeyDirectory,
        calls: CallCounter,
        callers: CallerLog,
        clock: Clock,
        throttle: AuthThrottle,
        known_keys: KnownKeys | None = None,
    ) -> None:
        """`known_keys` learn which keys are good; who is let in is decided by the directory alone."""
        self.remembered = directory.remembered
        """Returns whose key this is, if that is in memory; None says nothing."""
        self.now = clock.now
        self._known_keys = known_keys or KnownKeys()
        self._directory = directory
        self._calls = calls
        self._callers = callers
        self._clock = clock
        self._throttle = throttle

    async def look_up(self, scope: Scope, digest: bytes) -> Principal | None:
        """Return whose key this is, which is not in memory. An address with many failures waits, or is not told.

        Raises StorageUnavailable.
        """
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

    def is_refused_unseen(self, scope: Scope, digest: bytes) -> bool:
        """Return whether `look_up` would tell nothing now, without having looked. Nothing is noted."""
        if not keys.is_well_formed(presented_key(scope)):
            return True
        return self._throttle.refuses(client_address(scope), digest, self._clock.monotonic())

    def accept(self, scope: Scope, digest: bytes, principal: Principal | None, now: datetime) -> None:
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
        self.count(scope, principal, now)

    def count(self, scope: Scope, principal: Principal, now: datetime) -> None:
        """Count a call of the key, and note whence it came."""
        context: RequestContext = scope[SCOPE_KEY]
        context.client = principal.client.slug
        context.key_id = principal.key_id
        context.key_used_at = moment = now.timestamp()
        if not self._calls.count_again(principal.key_id, moment):
            self._calls.count_first(
                principal.key_id, moment, address=client_address(scope) or None, agent=user_agent(scope)
            )
        origin = origin_of(scope)
        if not self._callers.is_noted(principal.key_id, origin, moment):
            self._callers.note(principal.key_id, origin, moment, agent=user_agent(scope))
