"""What people do about their second factor: set it up, switch it on and off, get new recovery codes."""

from collections.abc import Callable

from gateway.auth import keys
from gateway.auth.code_check import CodeCheck
from gateway.auth.one_time_codes import mint_recovery_codes, mint_totp_secret, plain_code
from gateway.auth.password_check import PasswordCheck
from gateway.auth.sessions import Browser
from gateway.auth.sign_in_throttle import SignInThrottle
from gateway.errors import InvalidInput
from gateway.models import ActivityEntry, Actor, User, Visitor, activity_entry
from gateway.store import Proof, Store, TimeCode
from gateway.times import Clock, format_time


class SecondFactors:
    """Second factors of users. Every change by a user takes his password and a code: a session alone is not enough."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        choice: Callable[[str], str],
        *,
        throttle: SignInThrottle,
        passwords: PasswordCheck,
        codes: CodeCheck,
    ) -> None:
        """`choice` picks a random character."""
        self._second_factors = store.second_factors
        self._clock = clock
        self._choice = choice
        self._throttle = throttle
        self._passwords = passwords
        self._codes = codes

    async def set_up(self, visitor: Visitor, password: str, browser: Browser) -> str:
        """Make a new secret, for which no code is asked yet, and return it.

        It takes the password: whoever has a session alone would know the secret of what its user then switches on.
        Raises InvalidInput if there is a second factor; SignInRefused, RateLimitExceeded, Overloaded.
        """
        secret = mint_totp_secret(self._choice)
        await self._check_password(visitor, password, browser)
        if not await self._second_factors.set_up(visitor.user.id, secret):
            raise InvalidInput("a second factor is on already: switch it off first")
        return secret

    async def secret_being_set_up(self, user: User) -> str | None:
        """Return the secret for which no code is asked yet; None if there is none. Nobody is told any other secret.

        It is for those who gave the right password just now.
        """
        secret = await self._second_factors.secret_of(user.id)
        return None if secret is None or secret.is_on else secret.text

    async def count_recovery_codes(self, user: User) -> int:
        """Return how many recovery codes the user has left."""
        return await self._second_factors.count_recovery_codes(user.id)

    async def switch_on(self, visitor: Visitor, password: str, code: str, browser: Browser) -> list[str]:
        """Ask for a code at each sign-in from now on; return the recovery codes. All other sessions of the user end.

        Raises SignInRefused, RateLimitExceeded, Overloaded.
        """
        user, recovery_codes = visitor.user, mint_recovery_codes(self._choice)
        entry = self._entry("user.second-factor-on", browser.actor(user), user)

        async def spend(proof: Proof | None) -> bool:
            return isinstance(proof, TimeCode) and await self._second_factors.switch_on(
                user.id, proof, _digests(recovery_codes), staying=visitor.session.id, at=entry.at, entry=entry
            )

        await self._check_password(visitor, password, browser)
        await self._codes.take(user, code, browser, spend)
        return recovery_codes

    async def switch_off(self, visitor: Visitor, password: str, code: str, browser: Browser) -> None:
        """Ask for no code any more. Raises SignInRefused, RateLimitExceeded, Overloaded."""
        user = visitor.user
        entry = self._entry("user.second-factor-off", browser.actor(user), user)

        async def spend(proof: Proof | None) -> bool:
            return await self._second_factors.switch_off(user.id, proof, entry=entry)

        await self._check_password(visitor, password, browser)
        await self._codes.take(user, code, browser, spend)

    async def renew_recovery_codes(self, visitor: Visitor, password: str, code: str, browser: Browser) -> list[str]:
        """Return new recovery codes; the old ones end. Raises SignInRefused, RateLimitExceeded, Overloaded."""
        user, recovery_codes = visitor.user, mint_recovery_codes(self._choice)
        entry = self._entry("user.recovery-codes", browser.actor(user), user)

        async def spend(proof: Proof | None) -> bool:
            return await self._second_factors.renew_recovery_codes(
                user.id, proof, _digests(recovery_codes), entry=entry
            )

        await self._check_password(visitor, password, browser)
        await self._codes.take(user, code, browser, spend)
        return recovery_codes

    async def reset(self, user: User, *, by: Actor) -> None:
        """Switch the user's second factor off, for one who has lost it. Raises InvalidInput if it is not on."""
        entry = self._entry("user.second-factor-reset", by, user)
        if not await self._second_factors.reset(user.id, entry=entry):
            raise InvalidInput(f"{user.email} has no second factor")

    async def _check_password(self, visitor: Visitor, password: str, browser: Browser) -> None:
        async with self._throttle.slot_of(visitor.user.id, visitor.user.client_id):
            await self._passwords.check_current(visitor, password, browser)

    def _entry(self, action: str, by: Actor, user: User) -> ActivityEntry:
        return activity_entry(by, action, user, at=format_time(self._clock.now()))


def _digests(recovery_codes: list[str]) -> list[bytes]:
    return [keys.digest(plain_code(code)) for code in recovery_codes]
