"""Sessions of browsers, with the clock in the hand."""

import sqlite3
from contextlib import closing

import pytest

from gateway.auth.accounts import Accounts
from gateway.store.tables.sessions import MOST_NOTED
from tests.auth.support import ANN, BOB, ELSEWHERE, HERE, HOUR, PASSWORD, accepted, actions, is_signed_in
from tests.support import World, sqlite_of


async def test_a_session_is_idle_for_twelve_hours_at_most(world: World, accounts: Accounts) -> None:
    _, secret = await accepted(accounts)

    world.clock.advance(12 * HOUR)
    assert await is_signed_in(accounts, secret)
    world.clock.advance(12 * HOUR + 1)
    assert not await is_signed_in(accounts, secret)


async def test_a_session_in_use_lasts_seven_days(world: World, accounts: Accounts) -> None:
    _, secret = await accepted(accounts)
    for _ in range(14):
        world.clock.advance(12 * HOUR)
        assert await is_signed_in(accounts, secret)

    world.clock.advance(1)
    assert not await is_signed_in(accounts, secret)


async def test_looking_at_pages_writes_once_a_minute(world: World, accounts: Accounts) -> None:
    user, secret = await accepted(accounts)
    (first,) = await accounts.sessions.of_user(user)
    for seconds, is_written in ((60, False), (1, True), (30, False)):
        world.clock.advance(seconds)
        await accounts.sessions.visitor(secret)
        (session,) = await accounts.sessions.of_user(user)
        assert (session.last_seen_at != first.last_seen_at) == is_written
        first = session


async def test_a_store_that_cannot_be_written_still_tells_who_is_signed_in(world: World, accounts: Accounts) -> None:
    user, secret = await accepted(accounts)
    world.clock.advance(HOUR)
    with closing(sqlite3.connect(sqlite_of(world.services.store).path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        assert await is_signed_in(accounts, secret)

    assert [session.last_seen_at for session in await accounts.sessions.of_user(user)] == ["2026-04-01T03:00:00.000Z"]


@pytest.mark.parametrize("secret", ["", "x", "\xff" * 43, "x" * 60_000])
async def test_an_invented_secret_is_nobodys(accounts: Accounts, secret: str) -> None:
    await accepted(accounts)

    assert not await is_signed_in(accounts, secret)


async def test_sessions_are_listed_while_they_hold(world: World, accounts: Accounts) -> None:
    user, _ = await accepted(accounts)
    world.clock.advance(6 * HOUR)
    await accounts.sign_in.by_password(ANN, PASSWORD, ELSEWHERE)

    assert [session.address for session in await accounts.sessions.of_user(user)] == [ELSEWHERE.address, HERE.address]
    world.clock.advance(6 * HOUR)
    assert [session.address for session in await accounts.sessions.of_user(user)] == [ELSEWHERE.address]


async def test_a_session_is_ended_by_its_user_only(accounts: Accounts) -> None:
    ann, anns = await accepted(accounts)
    bob, bobs = await accepted(accounts, BOB)
    (session,) = await accounts.sessions.of_user(ann)

    await accounts.sessions.end(bob, session.id)
    assert await is_signed_in(accounts, anns)
    await accounts.sessions.end(ann, session.id)
    assert not await is_signed_in(accounts, anns)
    await accounts.sessions.end_all(bob)
    assert not await is_signed_in(accounts, bobs)


async def test_a_disabled_clients_members_are_out_until_it_is_enabled(world: World, accounts: Accounts) -> None:
    _, secret = await accepted(accounts)

    await world.services.clients.disable("acme")
    assert not await is_signed_in(accounts, secret)
    await world.services.clients.enable("acme")
    assert await is_signed_in(accounts, secret)


async def test_signing_in_again_and_again_fills_the_activity_of_ten_minutes_with_ten_entries_of_each_user(
    world: World, accounts: Accounts
) -> None:
    ann, _ = await accepted(accounts)
    bob, _ = await accepted(accounts, BOB)

    async def sign_ins() -> list[int]:
        entries = await actions(world)
        return [entries.count((email, "user.sign-in", HERE.address)) for email in (ANN, BOB)]

    for _ in range(MOST_NOTED + 5):
        assert await is_signed_in(accounts, await accounts.sessions.start(ann, HERE))
    await accounts.sessions.start(bob, HERE)
    assert await sign_ins() == [MOST_NOTED, 2]

    world.clock.advance(HOUR / 6 + 1)
    await accounts.sessions.start(ann, HERE)
    assert await sign_ins() == [MOST_NOTED + 1, 2]
