"""Look whether a password is somebody's, within the limits on tries."""

import structlog

from gateway.auth.passwords import Passwords
from gateway.auth.sessions import Browser
from gateway.auth.sign_in_throttle import SignInThrottle, tries_in
from gateway.errors import SignInRefused
from gateway.models import Visitor
from gateway.store import Credentials, Store

log = structlog.get_logger()


class PasswordCheck:
    """Compares passwords. Whoever asks holds a slot of the throttle meanwhile."""

    def __init__(self, store: Store, passwords: Passwords, throttle: SignInThrottle) -> None:
        self._users = store.users
        self._passwords = passwords
        self._throttle = throttle

    async def check(self, email: str, password: str, browser: Browser, wrong: SignInRefused, tries: str) -> Credentials:
        """Return whose address and password these are. Raises `wrong` for nobody's, RateLimitExceeded.

        The account is read before its try is counted: a failing database costs no try.
        """
        credentials = await self._users.credentials(email)
        reservation = await self._throttle.count(tries)
        is_right = await self._passwords.matches(password, credentials.password_hash if credentials else None)
        if credentials is None or not is_right:
            user_id = credentials.user.id if credentials else None
            log.info("password_refused", user=user_id, address=browser.address, request_id=browser.request_id)
            raise wrong
        await reservation.forgive()
        return credentials

    async def check_current(self, visitor: Visitor, password: str, browser: Browser) -> Credentials:
        """Return the visitor's credentials if this is his password.

        Raises SignInRefused, RateLimitExceeded, which counts the tries in his session.
        """
        wrong = SignInRefused("The current password is wrong")
        return await self.check(visitor.user.email, password, browser, wrong, tries_in(visitor.session))
