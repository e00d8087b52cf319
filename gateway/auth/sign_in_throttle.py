"""Throttle the tries of passwords: for each account from an address, and for each address.

An account may be tried from other addresses meanwhile: nobody can lock its owner out.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from gateway.auth import keys
from gateway.auth.guess_throttle import block_of
from gateway.auth.passwords import Passwords
from gateway.auth.timings import BUSY_RETRY_SECONDS
from gateway.errors import Overloaded, RateLimitExceeded
from gateway.limiter import Limiter
from gateway.models import RatePolicy
from gateway.times import Clock

TRIES = RatePolicy(5, 900)
"""Of one address on one account."""
TRIES_OF_ADDRESS = RatePolicy(100, 900)
"""Of one address on all accounts: an office behind one address has room."""

Forgive = Callable[[], Awaitable[None]]


class TryCounter(Protocol):
    """Counts tries of passwords, for this gateway alone or for several that share the count."""

    async def count(self, email: str, address: str) -> Forgive:
        """Count a try and return what forgives those on this account. Raises RateLimitExceeded, Overloaded."""
        ...


class SignInThrottle:
    """Counts the tries at this gateway.

    A refused try is not counted, neither for a flood on one account, which would lock others at its address out, nor
    at a busy moment.
    """

    def __init__(self, passwords: Passwords, clock: Clock) -> None:
        self._passwords = passwords
        self._clock = clock
        self._tries = Limiter(TRIES)
        self._tries_of_address = Limiter(TRIES_OF_ADDRESS)

    async def count(self, email: str, address: str) -> Forgive:
        """Count a try and return what forgives those on this account. Raises RateLimitExceeded, Overloaded."""
        block = block_of(address)
        account = f"{block} {keys.digest(email.casefold()).hex()}"
        now = self._clock.monotonic()
        for limiter, name in ((self._tries, account), (self._tries_of_address, block)):
            if limiter.refuses(name, now):
                raise _too_many_tries(limiter.take(name, None, now).next_token_seconds)
        if self._passwords.is_busy:
            raise Overloaded(retry_after=BUSY_RETRY_SECONDS)
        self._tries.take(account, None, now)
        self._tries_of_address.take(block, None, now)

        async def forgive() -> None:
            self._tries.forget(account)

        return forgive


def _too_many_tries(seconds: int) -> RateLimitExceeded:
    minutes = -(-seconds // 60)
    return RateLimitExceeded(
        f"Too many tries: come back in {minutes} minute{'' if minutes == 1 else 's'}", retry_after=seconds
    )
