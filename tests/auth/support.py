"""People who sign in: their addresses and passwords, and the short ways to have one of them."""

import secrets

from gateway.auth.accounts import Accounts, build_accounts
from gateway.auth.passwords import Passwords
from gateway.auth.sessions import Browser
from gateway.models import COMMAND_LINE, User
from tests.support import World

HOUR, DAY = 3600, 86_400
PASSWORD = "seven quiet herons under granite"
OTHER_PASSWORD = "nine loud gulls above basalt"
WRONG = "a wrong password"
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


def accounts_of(world: World, passwords: Passwords | None = None) -> Accounts:
    return build_accounts(world.services.store, passwords or Passwords(), world.clock, secrets.choice)
