"""People who sign in: their addresses and passwords, and the short ways to have one of them."""

import secrets

from gateway.auth.accounts import Accounts, build_accounts
from gateway.auth.passwords import Passwords
from gateway.auth.sessions import Browser
from gateway.auth.sign_in_throttle import TryCounter
from gateway.errors import RateLimitExceeded, SignInRefused
from gateway.models import COMMAND_LINE, User
from tests.support import World

HOUR, DAY = 3600, 86_400
PASSWORD = "seven quiet herons under granite"
OTHER_PASSWORD = "nine loud gulls above basalt"
WRONG = "a wrong password"
LITTLE_MEMORY_KIB = 8
"""The least that argon2 takes: nobody attacks these passwords."""
ANN = "ann@acme.example"
BOB = "bob@acme.example"
OLGA = "olga@operator.example"
HERE = Browser("192.0.2.7", "Firefox", "request-1")
ELSEWHERE = Browser("198.51.100.1", "Chromium", "request-2")


async def invited(accounts: Accounts, email: str = ANN, slug: str | None = "acme") -> tuple[User, str]:
    return await accounts.users.invite(email, slug, by=COMMAND_LINE)


async def accepted(accounts: Accounts, email: str = ANN, slug: str | None = "acme") -> tuple[User, str]:
    """Somebody whose password is PASSWORD, and the secret of his session."""
    user, link = await invited(accounts, email, slug)
    return user, await accounts.sign_in.set_password(link, PASSWORD, HERE)


async def is_signed_in(accounts: Accounts, secret: str) -> bool:
    return await accounts.sessions.visitor(secret) is not None


async def actions(world: World) -> list[tuple[str, str, str | None]]:
    """Who did what from where, oldest first; without what the fixture did."""
    entries = await world.services.store.activity.all(limit=100)
    return [(entry.actor, entry.action, entry.address) for entry in reversed(entries)][2:]


async def tries_left(accounts: Accounts, email: str, browser: Browser, *, at_most: int = 20) -> int:
    """How many wrong passwords are looked at before the next is refused unseen."""
    for number in range(at_most):
        try:
            await accounts.sign_in.by_password(email, WRONG, browser)
        except SignInRefused:
            continue
        except RateLimitExceeded:
            return number
    return at_most


def accounts_of(world: World, tries: TryCounter | None = None) -> Accounts:
    return build_accounts(
        world.services.store,
        Passwords(memory_kib=LITTLE_MEMORY_KIB),
        world.clock,
        secrets.choice,
        world.services.timings.auth,
        tries=tries,
    )
