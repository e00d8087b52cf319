"""Look what a code of a second factor proves, within the limits on tries.

Who knows the password may guess six digits: wrong ones count for the account from an address, and for the account from
all addresses. A recovery code has 79 random bits and cannot be guessed. It is not counted, so that one who is attacked
still gets in by it, also from the attacker's address.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import structlog

from gateway.auth import keys
from gateway.auth.one_time_codes import is_time_code, matching_step, plain_code
from gateway.auth.sessions import Browser
from gateway.auth.sign_in_throttle import TRIES, SignInThrottle, codes_at, codes_of
from gateway.errors import CodeRefused, StorageUnavailable
from gateway.models import RatePolicy, User, activity_entry
from gateway.store import Proof, RecoveryCode, Store, TimeCode
from gateway.times import Clock, format_time

ACCOUNT_TRIES = RatePolicy(20, 86_400)
"""Of six digits on an account from all addresses. Three of a million are right: who knows the password and tries for a
year gets in with a probability of 2 %."""

T = TypeVar("T")

log = structlog.get_logger()


class CodeCheck:
    """Takes codes of users: each once, and few wrong ones."""

    def __init__(self, store: Store, clock: Clock, throttle: SignInThrottle) -> None:
        self._second_factors = store.second_factors
        self._clock = clock
        self._throttle = throttle

    async def take(
        self, user: User, typed: str, browser: Browser, spend: Callable[[Proof | None], Awaitable[T | None]]
    ) -> T:
        """Have `spend` use up what the typed code proves; return its result. Raises CodeRefused, RateLimitExceeded.

        `spend` does so in the transaction of what the code permits, and returns what is false if the proof is not good,
        as None never is. A failing database costs no try. A right code forgives those of its address.
        Of those from all addresses it takes back its own only: otherwise each sign-in of the owner would give whoever
        knows his password twenty more.
        """
        code = plain_code(typed)
        proof = await self._proof_in(code, user, browser)
        right: list[Callable[[], Awaitable[None]]] = []
        untried: list[Callable[[], Awaitable[None]]] = []
        if is_time_code(code):
            here = await self._throttle.count(codes_at(browser.address, user.id), TRIES)
            anywhere = await self._throttle.count(codes_of(user.id), ACCOUNT_TRIES)
            right, untried = [here.forgive, anywhere.give_back], [here.give_back, anywhere.give_back]
        try:
            result = await spend(proof)
        except StorageUnavailable:
            await _all(untried)
            raise
        if not result:
            log.info("code_refused", user=user.id, address=browser.address, request_id=browser.request_id)
            raise CodeRefused
        await _all(right)
        return result

    async def _proof_in(self, code: str, user: User, browser: Browser) -> Proof | None:
        """Return what the code may prove; None for a wrong one of six digits."""
        now = self._clock.now()
        if not is_time_code(code):
            entry = activity_entry(browser.actor(user), "user.recovery-code", user, at=format_time(now))
            return RecoveryCode(keys.digest(code), entry)
        secret = await self._second_factors.secret_of(user.id)
        step = None if secret is None else matching_step(secret.text, code, now)
        return None if secret is None or step is None else TimeCode(secret.text, step)


async def _all(steps: Iterable[Callable[[], Awaitable[None]]]) -> None:
    for step in steps:
        await step()
