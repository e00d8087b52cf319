"""How often a password may be tried, with the clock in the hand."""

import asyncio
import tracemalloc

import pytest

from gateway.auth.accounts import Accounts
from gateway.auth.passwords import MOST_WAITING, Passwords
from gateway.auth.sessions import Browser
from gateway.auth.sign_in_throttle import TRIES, TRIES_OF_ADDRESS
from gateway.errors import Overloaded, RateLimitExceeded, SignInRefused
from tests.auth.support import ANN, BOB, ELSEWHERE, HERE, OTHER_PASSWORD, PASSWORD, WRONG, accepted, accounts_of
from tests.support import World


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


async def test_an_address_has_five_tries_on_an_account_in_a_quarter_of_an_hour(
    world: World, accounts: Accounts
) -> None:
    await accepted(accounts)
    assert await tries_left(accounts, ANN, HERE) == TRIES.requests == 5

    with pytest.raises(RateLimitExceeded, match=r"come back in 3 minutes") as refusal:
        await accounts.sign_in.by_password(ANN, PASSWORD, HERE)
    assert refusal.value.retry_after == 180

    world.clock.advance(121)
    with pytest.raises(RateLimitExceeded, match=r"come back in 1 minute$"):
        await accounts.sign_in.by_password(ANN, PASSWORD, HERE)

    world.clock.advance(59)
    assert await accounts.sign_in.by_password(ANN, PASSWORD, HERE)


async def test_an_unknown_account_is_throttled_like_a_known_one(accounts: Accounts) -> None:
    assert await tries_left(accounts, "nobody@acme.example", HERE) == 5


async def test_another_spelling_is_the_same_account(accounts: Accounts) -> None:
    assert await tries_left(accounts, ANN, HERE) == 5
    assert await tries_left(accounts, ANN.upper(), HERE) == 0


async def test_guessing_locks_out_neither_the_owner_elsewhere_nor_others_here(accounts: Accounts) -> None:
    await accepted(accounts)
    await accepted(accounts, BOB)
    await tries_left(accounts, ANN, HERE)
    for _ in range(TRIES_OF_ADDRESS.requests * 3):
        with pytest.raises(RateLimitExceeded):
            await accounts.sign_in.by_password(ANN, PASSWORD, HERE)

    assert await accounts.sign_in.by_password(ANN, PASSWORD, ELSEWHERE)
    assert await accounts.sign_in.by_password(BOB, PASSWORD, HERE)


async def test_an_ipv6_network_of_one_person_counts_as_one_address(accounts: Accounts) -> None:
    await tries_left(accounts, ANN, Browser("2001:db8::1", "", "r"))

    assert await tries_left(accounts, ANN, Browser("2001:db8::ffff:1", "", "r")) == 0
    assert await tries_left(accounts, ANN, Browser("2001:db8:0:1::1", "", "r")) == 5


async def test_an_address_has_a_hundred_tries_and_what_it_tries_beyond_is_not_remembered(accounts: Accounts) -> None:
    counts = [await tries_left(accounts, f"{number}@acme.example", HERE) for number in range(21)]
    assert counts == [5] * 20 + [0]

    tracemalloc.start()
    for number in range(2000):
        with pytest.raises(RateLimitExceeded):
            await accounts.sign_in.by_password(f"{number}@other.example", WRONG, HERE)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert kept < 200_000
    assert await tries_left(accounts, "0@acme.example", ELSEWHERE) == 5


async def test_a_good_sign_in_forgives_earlier_tries_on_its_own_account_only(accounts: Accounts) -> None:
    await accepted(accounts)
    assert await tries_left(accounts, ANN, HERE, at_most=4) == 4
    assert await tries_left(accounts, BOB, HERE, at_most=4) == 4

    await accounts.sign_in.by_password(ANN, PASSWORD, HERE)

    assert await tries_left(accounts, ANN, HERE) == 5
    assert await tries_left(accounts, BOB, HERE) == 1


async def test_a_busy_moment_costs_no_try(world: World) -> None:
    passwords = Passwords()
    accounts = accounts_of(world, passwords)
    waiting = [asyncio.create_task(passwords.matches(WRONG, None)) for _ in range(MOST_WAITING)]
    await asyncio.sleep(0)
    for _ in range(TRIES.requests * 2):
        with pytest.raises(Overloaded):
            await accounts.sign_in.by_password(ANN, WRONG, HERE)
    await asyncio.gather(*waiting)

    assert await tries_left(accounts, ANN, HERE) == 5


async def test_guessing_the_current_password_is_throttled_too(accounts: Accounts) -> None:
    _, secret = await accepted(accounts)
    visitor = await accounts.sessions.visitor(secret)
    assert visitor
    for _ in range(TRIES.requests):
        with pytest.raises(SignInRefused, match="The current password is wrong"):
            await accounts.sign_in.change_password(visitor, WRONG, OTHER_PASSWORD, HERE)

    with pytest.raises(RateLimitExceeded):
        await accounts.sign_in.change_password(visitor, PASSWORD, OTHER_PASSWORD, HERE)
    with pytest.raises(RateLimitExceeded):
        await accounts.sign_in.by_password(ANN, PASSWORD, HERE)
