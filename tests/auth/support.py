"""People who sign in: their addresses and passwords, and the short ways to have one of them."""

import asyncio
import secrets
from collections.abc import Coroutine
from typing import Any

from gateway.auth.accounts import Accounts, build_accounts
from gateway.auth.passwords import Passwords
from gateway.auth.sessions import Browser
from gateway.auth.sign_in_throttle import TryCounter
from gateway.errors import RateLimitExceeded, SignInRefused
from gateway.models import COMMAND_LINE, User
from gateway.store.postgres.database import PostgresDatabase
from gateway.store.sqlite.database import SqliteDatabase
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
    return user, (await accounts.sign_in.set_password(link, PASSWORD, HERE)).secret


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


def accounts_of(world: World, tries: TryCounter | None = None, *, admins_need_second_factor: bool = False) -> Accounts:
    return build_accounts(
        world.services.store,
        Passwords(memory_kib=LITTLE_MEMORY_KIB),
        world.clock,
        secrets.choice,
        world.services.timings.auth,
        tries=tries,
        admins_need_second_factor=admins_need_second_factor,
    )


Work = Coroutine[Any, Any, Any]


async def written_in_order(world: World, *works: Work) -> list[Any]:
    """What each leads to when all have read and hashed before any writes, and then write one after the other."""
    begun, release = asyncio.Event(), asyncio.Event()
    database = world.services.store.database

    async def wait(_connection: object) -> None:
        begun.set()
        await release.wait()

    assert isinstance(database, SqliteDatabase | PostgresDatabase)
    waiting = database._writing._waiting  # noqa: SLF001 - nothing else tells who waits to write
    tasks = [asyncio.create_task(database.write(wait))]
    await begun.wait()
    try:
        for number, work in enumerate(works, 1):
            tasks.append(asyncio.create_task(work))
            while len(waiting) < number:
                assert not tasks[-1].done()
                await asyncio.sleep(0)
    finally:
        release.set()
    return (await asyncio.gather(*tasks, return_exceptions=True))[1:]
