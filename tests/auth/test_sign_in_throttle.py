"""How often a password may be tried, with the clock in the hand."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise

import pytest

from gateway.auth.accounts import Accounts
from gateway.auth.fair_share import MOST_GROUPS, MOST_OF_GROUP
from gateway.auth.sessions import Browser
from gateway.auth.sign_in_throttle import MOST_GOOD_ADDRESSES, TRIES, GoodAddresses, LocalTries
from gateway.errors import Overloaded, RateLimitExceeded, SignInRefused, StorageUnavailable
from gateway.limiter import Reservation
from gateway.models import RatePolicy, Visitor
from tests.auth.support import (
    ANN,
    BOB,
    ELSEWHERE,
    HERE,
    OTHER_PASSWORD,
    PASSWORD,
    WRONG,
    accepted,
    accounts_of,
    tries_left,
)
from tests.support import World

MADE_UP = 100
"""Of the flood that kept everybody at an address out when it was the address that was counted."""
NOBODY = "nobody@acme.example"


class NoticedTries(LocalTries):
    """Tells when a try is reserved."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        super().__init__(monotonic)
        self.is_reserved = asyncio.Event()

    async def reserve(self, name: str, policy: RatePolicy) -> Reservation:
        self.is_reserved.set()
        return await super().reserve(name, policy)


async def guess(accounts: Accounts, email: str, browser: Browser = HERE) -> type[Exception]:
    """Try a wrong password, and return how it is refused."""
    with pytest.raises((SignInRefused, RateLimitExceeded, Overloaded)) as refusal:
        await accounts.sign_in.by_password(email, WRONG, browser)
    return refusal.type


async def rename_table(world: World, old: str, new: str) -> None:
    await world.services.store.database.write(
        lambda connection: connection.execute_fetchall(f"ALTER TABLE {old} RENAME TO {new}")
    )


async def visitor_of(accounts: Accounts, secret: str) -> Visitor:
    visitor = await accounts.sessions.visitor(secret)
    assert visitor
    return visitor


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
    assert (await accounts.sign_in.by_password(ANN, PASSWORD, HERE)).secret


async def test_many_made_up_tries_at_an_address_never_refuse_a_right_password_there(
    world: World, accounts: Accounts
) -> None:
    await accepted(accounts)
    for number in range(MADE_UP):
        await guess(accounts, f"{number}@made-up.example")

    for number in range(60):
        world.clock.advance(0.5)
        assert await guess(accounts, f"{MADE_UP + number}@made-up.example") is SignInRefused
        assert (await accounts.sign_in.by_password(ANN, PASSWORD, HERE)).secret


async def test_right_passwords_never_count(accounts: Accounts) -> None:
    await accepted(accounts)
    for _ in range(100):
        await accounts.sign_in.by_password(ANN, PASSWORD, HERE)

    assert await tries_left(accounts, ANN, HERE) == 5


async def test_people_who_are_signed_in_can_change_their_password_whatever_is_tried_at_their_address(
    accounts: Accounts,
) -> None:
    _, secret = await accepted(accounts)
    await tries_left(accounts, ANN, HERE)
    for number in range(MADE_UP):
        await guess(accounts, f"{number}@made-up.example")

    assert await accounts.sign_in.change_password(await visitor_of(accounts, secret), PASSWORD, OTHER_PASSWORD, HERE)


async def test_guessing_the_current_password_is_throttled_in_its_session_only(accounts: Accounts) -> None:
    _, first = await accepted(accounts)
    second = (await accounts.sign_in.by_password(ANN, PASSWORD, HERE)).secret
    guessing, own = await visitor_of(accounts, first), await visitor_of(accounts, second)
    for _ in range(TRIES.requests):
        with pytest.raises(SignInRefused, match="The current password is wrong"):
            await accounts.sign_in.change_password(guessing, WRONG, OTHER_PASSWORD, HERE)

    with pytest.raises(RateLimitExceeded):
        await accounts.sign_in.change_password(guessing, PASSWORD, OTHER_PASSWORD, HERE)
    assert (await accounts.sign_in.by_password(ANN, PASSWORD, HERE)).secret
    assert await accounts.sign_in.change_password(own, PASSWORD, OTHER_PASSWORD, HERE)


async def test_a_user_changes_his_password_a_few_times_and_then_later(world: World, accounts: Accounts) -> None:
    _, secret = await accepted(accounts)
    passwords = [PASSWORD, OTHER_PASSWORD] * TRIES.requests
    for current, new in pairwise(passwords[: TRIES.requests + 1]):
        secret = await accounts.sign_in.change_password(await visitor_of(accounts, secret), current, new, HERE)
    current, new = passwords[TRIES.requests : TRIES.requests + 2]

    with pytest.raises(RateLimitExceeded, match="come back in 3 minutes"):
        await accounts.sign_in.change_password(await visitor_of(accounts, secret), current, new, HERE)
    world.clock.advance(180)
    assert await accounts.sign_in.change_password(await visitor_of(accounts, secret), current, new, HERE)


async def test_an_unknown_account_is_throttled_like_a_known_one_whatever_else_was_made_up(accounts: Accounts) -> None:
    await accepted(accounts)
    for number in range(MADE_UP):
        await guess(accounts, f"{number}@made-up.example")

    for _ in range(TRIES.requests):
        assert [await guess(accounts, email) for email in (ANN, NOBODY)] == [SignInRefused] * 2
    assert [await guess(accounts, email) for email in (ANN, NOBODY)] == [RateLimitExceeded] * 2


async def test_another_spelling_is_the_same_account(accounts: Accounts) -> None:
    assert await tries_left(accounts, ANN, HERE) == 5
    assert await tries_left(accounts, ANN.upper(), HERE) == 0


async def test_guessing_locks_out_neither_the_owner_elsewhere_nor_others_here(accounts: Accounts) -> None:
    await accepted(accounts)
    await accepted(accounts, BOB)
    await tries_left(accounts, ANN, HERE)
    for _ in range(300):
        with pytest.raises(RateLimitExceeded):
            await accounts.sign_in.by_password(ANN, PASSWORD, HERE)

    assert (await accounts.sign_in.by_password(ANN, PASSWORD, ELSEWHERE)).secret
    assert (await accounts.sign_in.by_password(BOB, PASSWORD, HERE)).secret


async def test_an_ipv6_network_of_one_person_counts_as_one_address(accounts: Accounts) -> None:
    await tries_left(accounts, ANN, Browser("2001:db8::1", "", "r"))

    assert await tries_left(accounts, ANN, Browser("2001:db8::ffff:1", "", "r")) == 0
    assert await tries_left(accounts, ANN, Browser("2001:db8:0:1::1", "", "r")) == 5


async def test_a_good_sign_in_forgives_earlier_tries_on_its_own_account_only(accounts: Accounts) -> None:
    await accepted(accounts)
    assert await tries_left(accounts, ANN, HERE, at_most=4) == 4
    assert await tries_left(accounts, BOB, HERE, at_most=4) == 4

    await accounts.sign_in.by_password(ANN, PASSWORD, HERE)

    assert await tries_left(accounts, ANN, HERE) == 5
    assert await tries_left(accounts, BOB, HERE) == 1


async def test_simultaneous_tries_are_no_more_than_five(accounts: Accounts) -> None:
    await accepted(accounts)

    refusals = await asyncio.gather(*(guess(accounts, ANN) for _ in range(MOST_OF_GROUP)))

    assert refusals == [SignInRefused] * 5 + [RateLimitExceeded] * (MOST_OF_GROUP - 5)


async def test_simultaneous_right_passwords_are_all_right(accounts: Accounts) -> None:
    await accepted(accounts)

    secrets = await asyncio.gather(*(accounts.sign_in.by_password(ANN, PASSWORD, HERE) for _ in range(MOST_OF_GROUP)))

    assert len(set(secrets)) == MOST_OF_GROUP


async def test_a_try_that_is_cancelled_while_it_is_hashed_counts(world: World) -> None:
    tries = NoticedTries(world.clock.monotonic)
    accounts = accounts_of(world, tries)
    for _ in range(TRIES.requests):
        tries.is_reserved.clear()
        trying = asyncio.create_task(guess(accounts, NOBODY))
        await tries.is_reserved.wait()
        trying.cancel()
        await asyncio.wait([trying])

    assert await guess(accounts, NOBODY) is RateLimitExceeded


async def test_a_flood_from_an_address_costs_others_the_wait_for_a_hash(accounts: Accounts) -> None:
    done: list[tuple[str, type[Exception]]] = []

    async def note(email: str, browser: Browser) -> None:
        done.append((email, await guess(accounts, email, browser)))

    flood = [note(f"{number}@made-up.example", HERE) for number in range(MOST_OF_GROUP * 3)]
    await asyncio.gather(*flood, note(ANN, ELSEWHERE))

    hashed = [email for email, refusal in done if refusal is SignInRefused]
    assert len(hashed) == MOST_OF_GROUP + 1
    assert hashed.index(ANN) < MOST_OF_GROUP / 2


async def test_a_flood_on_one_account_costs_another_one_at_the_same_address_the_wait_for_two_hashes(
    accounts: Accounts,
) -> None:
    await accepted(accounts)
    await accepted(accounts, BOB)
    done: list[str] = []

    async def note(email: str) -> None:
        with suppress(Overloaded):
            await accounts.sign_in.by_password(email, PASSWORD, HERE)
            done.append(email)

    await asyncio.gather(*(note(BOB) for _ in range(MOST_OF_GROUP * 3)), note(ANN))

    assert done.index(ANN) <= 2
    assert len(done) == MOST_OF_GROUP


async def test_a_busy_moment_costs_no_try(accounts: Accounts) -> None:
    flood = await asyncio.gather(
        *(guess(accounts, f"{number}@made-up.example") for number in range(MOST_OF_GROUP)),
        *(guess(accounts, ANN) for _ in range(TRIES.requests * 2)),
    )
    assert flood[MOST_OF_GROUP:] == [Overloaded] * (TRIES.requests * 2)

    assert await tries_left(accounts, ANN, HERE) == 5


async def test_a_database_that_fails_costs_no_try(world: World, accounts: Accounts) -> None:
    await accepted(accounts)
    await rename_table(world, "users", "lost")
    for _ in range(TRIES.requests * 2):
        with pytest.raises(StorageUnavailable):
            await accounts.sign_in.by_password(ANN, WRONG, HERE)
    await rename_table(world, "lost", "users")

    assert await tries_left(accounts, ANN, HERE) == 5


async def test_a_flood_from_many_networks_keeps_nobody_out_where_somebody_has_signed_in(accounts: Accounts) -> None:
    await accepted(accounts)
    flood = [Browser(f"203.0.113.{number}", "Firefox", f"flood-{number}") for number in range(MOST_GROUPS)]
    tries = [asyncio.create_task(guess(accounts, NOBODY, browser)) for browser in flood]
    await asyncio.sleep(0)

    assert await guess(accounts, BOB, ELSEWHERE) is Overloaded
    assert (await accounts.sign_in.by_password(ANN, PASSWORD, HERE)).secret

    assert set(await asyncio.gather(*tries)) == {SignInRefused}


async def test_a_client_whose_people_signed_in_at_many_networks_keeps_no_other_client_s_out(
    world: World, accounts: Accounts
) -> None:
    await world.client_with_key("globex")
    await accepted(accounts)
    await accepted(accounts, BOB, "globex")
    await accounts.sign_in.by_password(BOB, PASSWORD, ELSEWHERE)
    networks = [Browser(f"2001:db8:{number:x}::1", "Firefox", f"flood-{number}") for number in range(MOST_GROUPS)]
    for browser in networks:
        await accounts.sign_in.by_password(ANN, PASSWORD, browser)
    tries = [asyncio.create_task(guess(accounts, NOBODY, browser)) for browser in networks]
    await asyncio.sleep(0)

    for browser in (ELSEWHERE, HERE):  # at HERE people of both have signed in
        assert (await accounts.sign_in.by_password(BOB, PASSWORD, browser)).secret

    assert set(await asyncio.gather(*tries)) == {SignInRefused, Overloaded}


async def test_many_people_of_one_client_who_change_their_passwords_cost_another_client_s_one_password_s_time(
    world: World, accounts: Accounts
) -> None:
    await world.client_with_key("globex")
    many = [await accepted(accounts, f"{number}@acme.example") for number in range(MOST_OF_GROUP)]
    _, other = await accepted(accounts, BOB, "globex")
    visitors = [await visitor_of(accounts, secret) for _, secret in many]
    bob, done = await visitor_of(accounts, other), list[str]()

    async def change(visitor: Visitor) -> None:
        await accounts.sign_in.change_password(visitor, PASSWORD, OTHER_PASSWORD, HERE)
        done.append(visitor.user.email)

    await asyncio.gather(*map(change, visitors), change(bob))

    assert done.index(BOB) <= 1
    assert len(done) == MOST_OF_GROUP + 1


async def test_good_addresses_of_one_client_take_no_room_of_another_s() -> None:
    good = GoodAddresses()
    good.note("b", 2)
    for number in range(MOST_GOOD_ADDRESSES + 1):
        good.note(str(number), 1)

    assert [good.clients_at(each) for each in ("b", "0", "1")] == [[2], [], [1]]
