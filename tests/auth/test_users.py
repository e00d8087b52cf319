"""People who sign in: their links, tries, sessions and passwords, with the clock in the hand."""

import asyncio
import secrets
import sqlite3
import tracemalloc
from collections.abc import Coroutine
from contextlib import closing
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.auth.passwords import MOST_WAITING, Passwords
from gateway.auth.users import TRIES, TRIES_OF_ADDRESS, Browser, Users
from gateway.errors import (
    Duplicate,
    InvalidInput,
    LinkEnded,
    Overloaded,
    RateLimitExceeded,
    SignInRefused,
    UnknownRecord,
)
from gateway.models import COMMAND_LINE, User
from gateway.telemetry.log import configure_log
from tests.support import World, sqlite_of

MINUTE, HOUR, DAY = 60, 3600, 86_400
PASSWORD = "seven quiet herons under granite"
OTHER_PASSWORD = "nine loud gulls above basalt"
WRONG = "a wrong password"
ANN = "ann@acme.example"
BOB = "bob@acme.example"
OLGA = "olga@operator.example"
HERE = Browser("192.0.2.7", "Firefox", "request-1")
ELSEWHERE = Browser("198.51.100.1", "Chromium", "request-2")


@pytest.fixture
async def users(world: World) -> Users:
    """With the client acme."""
    await world.client_with_key()
    return Users(world.services.store, Passwords(), world.clock, secrets.choice)


async def invited(users: Users, email: str = ANN, slug: str | None = "acme") -> tuple[User, str]:
    return await users.invite(email, slug, by=COMMAND_LINE)


async def accepted(users: Users, email: str = ANN, slug: str | None = "acme") -> tuple[User, str]:
    """Somebody whose password is PASSWORD, and the secret of his session."""
    user, link = await invited(users, email, slug)
    return user, await users.accept(link, PASSWORD, HERE)


async def is_signed_in(users: Users, secret: str) -> bool:
    return await users.visitor(secret) is not None


async def actions(world: World) -> list[tuple[str, str, str | None]]:
    """Who did what from where, oldest first; without what the fixture did."""
    entries = await world.services.store.activity.all(limit=100)
    return [(entry.actor, entry.action, entry.address) for entry in reversed(entries)][2:]


# Links.


async def test_an_invitation_leads_to_a_password_and_a_session(world: World, users: Users) -> None:
    user, link = await invited(users)
    found, whom = await users.link(link)
    assert (found.purpose, whom) == ("password", user)

    secret = await users.accept(link, PASSWORD, HERE)

    visitor = await users.visitor(secret)
    assert visitor
    assert visitor.client
    assert (visitor.user.email, visitor.client.slug) == (ANN, "acme")
    assert await users.sign_in(ANN, PASSWORD, HERE)
    assert await actions(world) == [
        ("command line", "user.invite", None),
        (ANN, "user.password", HERE.address),
        (ANN, "user.sign-in", HERE.address),
        (ANN, "user.sign-in", HERE.address),
    ]


@pytest.mark.parametrize(
    ("email", "slug", "error"),
    [
        (ANN, "nobody", UnknownRecord),
        ("ann", "acme", InvalidInput),
        ("ann @acme.example", "acme", InvalidInput),
        ("ann@acme.example\n", "acme", InvalidInput),
        (f"{'a' * 250}@x.example", "acme", InvalidInput),
        (ANN.upper(), "acme", Duplicate),
        (ANN, None, Duplicate),
    ],
)
async def test_who_cannot_be_invited(users: Users, email: str, slug: str | None, error: type[Exception]) -> None:
    _, link = await invited(users)

    with pytest.raises(error):
        await users.invite(email, slug, by=COMMAND_LINE)

    assert await users.link(link)


async def test_a_link_works_once(users: Users) -> None:
    _, link = await invited(users)
    await users.accept(link, PASSWORD, HERE)

    with pytest.raises(LinkEnded):
        await users.link(link)
    with pytest.raises(LinkEnded):
        await users.accept(link, OTHER_PASSWORD, ELSEWHERE)
    with pytest.raises(SignInRefused):
        await users.sign_in(ANN, OTHER_PASSWORD, ELSEWHERE)


async def test_of_two_who_use_a_link_at_once_one_succeeds(users: Users) -> None:
    _, link = await invited(users)

    results = await asyncio.gather(
        users.accept(link, PASSWORD, HERE), users.accept(link, OTHER_PASSWORD, ELSEWHERE), return_exceptions=True
    )

    assert [type(result) for result in results if not isinstance(result, str)] == [LinkEnded]


async def test_a_link_lasts_a_day(world: World, users: Users) -> None:
    _, link = await invited(users)

    world.clock.advance(DAY - 1)
    assert await users.link(link)
    world.clock.advance(1)
    with pytest.raises(LinkEnded):
        await users.link(link)
    with pytest.raises(LinkEnded):
        await users.accept(link, PASSWORD, HERE)


async def test_a_newer_link_replaces_the_older(users: Users) -> None:
    user, first = await invited(users)
    second = await users.reset(user, by=COMMAND_LINE)

    with pytest.raises(LinkEnded):
        await users.link(first)
    assert await users.link(second)


async def test_a_refused_password_leaves_the_link(users: Users) -> None:
    _, link = await invited(users)

    for password in ("short", "passwordpassword", ANN):
        with pytest.raises(InvalidInput):
            await users.accept(link, password, HERE)

    assert await users.accept(link, PASSWORD, HERE)


async def test_a_link_of_a_disabled_client_is_ended(world: World, users: Users) -> None:
    _, link = await invited(users)
    await world.services.clients.disable("acme")

    with pytest.raises(LinkEnded):
        await users.link(link)


@pytest.mark.parametrize("secret", ["", "x", "é", "x" * 10_000, "' OR 1=1 --", "\x00"])
async def test_an_invented_link_is_ended_like_a_used_one(users: Users, secret: str) -> None:
    await invited(users)

    with pytest.raises(LinkEnded):
        await users.link(secret)


async def test_until_a_reset_is_used_the_old_password_holds(users: Users) -> None:
    user, session = await accepted(users)
    link = await users.reset(user, by=COMMAND_LINE)
    assert await users.sign_in(ANN, PASSWORD, HERE)

    await users.accept(link, OTHER_PASSWORD, HERE)

    assert not await is_signed_in(users, session)
    with pytest.raises(SignInRefused):
        await users.sign_in(ANN, PASSWORD, HERE)


async def test_a_visit_link_signs_in_and_sets_no_password(users: Users) -> None:
    user, _ = await invited(users)
    link = await users.visit_link(user)

    with pytest.raises(LinkEnded):
        await users.accept(link, PASSWORD, HERE)
    for _ in range(2):
        assert await is_signed_in(users, await users.visit(link, HERE))


async def test_the_link_of_an_invitation_signs_nobody_in_without_a_password(users: Users) -> None:
    _, link = await invited(users)

    with pytest.raises(LinkEnded):
        await users.visit(link, HERE)


# The first admin.


async def test_the_first_admin_names_himself(world: World, users: Users) -> None:
    link = await users.first_admin_link()
    assert link

    secret = await users.accept(link, PASSWORD, HERE, email=OLGA)

    visitor = await users.visitor(secret)
    assert visitor
    assert (visitor.user.email, visitor.user.is_admin, visitor.client) == (OLGA, True, None)
    assert await users.first_admin_link() is None
    assert (await actions(world))[:2] == [
        (OLGA, "user.invite", HERE.address),
        (OLGA, "user.sign-in", HERE.address),
    ]


async def test_an_invited_admin_ends_the_first_admins_link(users: Users) -> None:
    link = await users.first_admin_link()
    assert link
    await invited(users, OLGA, None)

    with pytest.raises(LinkEnded):
        await users.link(link)
    with pytest.raises(LinkEnded):
        await users.accept(link, PASSWORD, HERE, email="mallory@example.com")


async def test_of_two_who_want_to_be_the_first_admin_one_is(world: World, users: Users) -> None:
    link = await users.first_admin_link()
    assert link

    results = await asyncio.gather(
        users.accept(link, PASSWORD, HERE, email=OLGA),
        users.accept(link, PASSWORD, ELSEWHERE, email="mallory@example.com"),
        return_exceptions=True,
    )

    assert [type(result) for result in results if not isinstance(result, str)] == [LinkEnded]
    assert len(await world.services.store.users.all()) == 1


@pytest.mark.parametrize(("email", "error"), [("", InvalidInput), ("olga", InvalidInput), (ANN, Duplicate)])
async def test_a_bad_address_leaves_the_first_admins_link(users: Users, email: str, error: type[Exception]) -> None:
    await invited(users)
    link = await users.first_admin_link()
    assert link

    with pytest.raises(error):
        await users.accept(link, PASSWORD, HERE, email=email)

    assert await users.accept(link, PASSWORD, HERE, email=OLGA)


async def test_a_members_link_makes_no_admin_of_him(users: Users) -> None:
    _, link = await invited(users)

    visitor = await users.visitor(await users.accept(link, PASSWORD, HERE, email=OLGA))

    assert visitor
    assert (visitor.user.email, visitor.user.is_admin) == (ANN, False)


# Signing in.


@pytest.mark.parametrize("email", [ANN, ANN.upper(), "Ann@Acme.Example"])
async def test_an_address_is_known_in_whatever_case(users: Users, email: str) -> None:
    await accepted(users)

    assert await users.sign_in(email, PASSWORD, HERE)


async def test_every_wrong_sign_in_says_the_same(world: World, users: Users) -> None:
    await accepted(users)
    await invited(users, BOB)
    await world.services.clients.add(slug="gone", name="Gone", plan="free")
    await accepted(users, "carl@gone.example", "gone")
    await world.services.clients.disable("gone")
    cases = [
        (ANN, WRONG),
        (ANN, ""),
        (BOB, PASSWORD),
        (BOB, ""),
        ("carl@gone.example", PASSWORD),
        ("nobody@acme.example", PASSWORD),
        ("", ""),
        ("x" * 60_000, "y" * 60_000),
        ("ann@acme.example\x00", PASSWORD),
    ]
    texts = set()
    for email, password in cases:
        with pytest.raises(SignInRefused) as refusal:
            await users.sign_in(email, password, HERE)
        texts.add(str(refusal.value))

    assert texts == {"The e-mail address or the password is wrong"}


async def test_a_refused_password_is_logged_without_what_was_typed(users: Users) -> None:
    user, _ = await accepted(users)
    configure_log(level="info", style="json")
    with capture_logs() as lines:
        for email in (ANN, "typed-a-password-here"):
            with pytest.raises(SignInRefused):
                await users.sign_in(email, WRONG, HERE)

    refused = {"event": "password_refused", "log_level": "info", "address": HERE.address, "request_id": "request-1"}
    assert lines == [{**refused, "user": user.id}, {**refused, "user": None}]


async def tries_left(users: Users, email: str, browser: Browser, *, at_most: int = 20) -> int:
    """How many wrong passwords are looked at before the next is refused unseen."""
    for number in range(at_most):
        try:
            await users.sign_in(email, WRONG, browser)
        except SignInRefused:
            continue
        except RateLimitExceeded:
            return number
    return at_most


async def test_an_address_has_five_tries_on_an_account_in_a_quarter_of_an_hour(world: World, users: Users) -> None:
    await accepted(users)
    assert await tries_left(users, ANN, HERE) == TRIES.requests == 5

    with pytest.raises(RateLimitExceeded, match=r"come back in 3 minutes") as refusal:
        await users.sign_in(ANN, PASSWORD, HERE)
    assert refusal.value.retry_after == 180

    world.clock.advance(121)
    with pytest.raises(RateLimitExceeded, match=r"come back in 1 minute$"):
        await users.sign_in(ANN, PASSWORD, HERE)

    world.clock.advance(59)
    assert await users.sign_in(ANN, PASSWORD, HERE)


async def test_an_unknown_account_is_braked_like_a_known_one(users: Users) -> None:
    assert await tries_left(users, "nobody@acme.example", HERE) == 5


async def test_another_spelling_is_the_same_account(users: Users) -> None:
    assert await tries_left(users, ANN, HERE) == 5
    assert await tries_left(users, ANN.upper(), HERE) == 0


async def test_guessing_locks_out_neither_the_owner_elsewhere_nor_others_here(users: Users) -> None:
    await accepted(users)
    await accepted(users, BOB)
    await tries_left(users, ANN, HERE)
    for _ in range(TRIES_OF_ADDRESS.requests * 3):
        with pytest.raises(RateLimitExceeded):
            await users.sign_in(ANN, PASSWORD, HERE)

    assert await users.sign_in(ANN, PASSWORD, ELSEWHERE)
    assert await users.sign_in(BOB, PASSWORD, HERE)


async def test_an_ipv6_network_of_one_person_counts_as_one_address(users: Users) -> None:
    await tries_left(users, ANN, Browser("2001:db8::1", "", "r"))

    assert await tries_left(users, ANN, Browser("2001:db8::ffff:1", "", "r")) == 0
    assert await tries_left(users, ANN, Browser("2001:db8:0:1::1", "", "r")) == 5


async def test_an_address_has_a_hundred_tries_and_what_it_tries_beyond_is_not_remembered(users: Users) -> None:
    counts = [await tries_left(users, f"{number}@acme.example", HERE) for number in range(21)]
    assert counts == [5] * 20 + [0]

    tracemalloc.start()
    for number in range(2000):
        with pytest.raises(RateLimitExceeded):
            await users.sign_in(f"{number}@other.example", WRONG, HERE)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert kept < 200_000
    assert await tries_left(users, "0@acme.example", ELSEWHERE) == 5


async def test_a_good_sign_in_forgives_earlier_tries_on_its_own_account_only(users: Users) -> None:
    await accepted(users)
    assert await tries_left(users, ANN, HERE, at_most=4) == 4
    assert await tries_left(users, BOB, HERE, at_most=4) == 4

    await users.sign_in(ANN, PASSWORD, HERE)

    assert await tries_left(users, ANN, HERE) == 5
    assert await tries_left(users, BOB, HERE) == 1


async def test_a_busy_moment_costs_no_try(world: World) -> None:
    passwords = Passwords()
    users = Users(world.services.store, passwords, world.clock, secrets.choice)
    waiting = [asyncio.create_task(passwords.matches(WRONG, None)) for _ in range(MOST_WAITING)]
    await asyncio.sleep(0)
    for _ in range(TRIES.requests * 2):
        with pytest.raises(Overloaded):
            await users.sign_in(ANN, WRONG, HERE)
    await asyncio.gather(*waiting)

    assert await tries_left(users, ANN, HERE) == 5


# Sessions.


async def test_a_session_is_idle_for_twelve_hours_at_most(world: World, users: Users) -> None:
    _, secret = await accepted(users)

    world.clock.advance(12 * HOUR)
    assert await is_signed_in(users, secret)
    world.clock.advance(12 * HOUR + 1)
    assert not await is_signed_in(users, secret)


async def test_a_session_in_use_lasts_seven_days(world: World, users: Users) -> None:
    _, secret = await accepted(users)
    for _ in range(14):
        world.clock.advance(12 * HOUR)
        assert await is_signed_in(users, secret)

    world.clock.advance(1)
    assert not await is_signed_in(users, secret)


async def test_looking_at_pages_writes_once_a_minute(world: World, users: Users) -> None:
    user, secret = await accepted(users)
    (first,) = await users.sessions(user)
    for seconds, is_written in ((60, False), (1, True), (30, False)):
        world.clock.advance(seconds)
        await users.visitor(secret)
        (session,) = await users.sessions(user)
        assert (session.last_seen_at != first.last_seen_at) == is_written
        first = session


async def test_a_store_that_cannot_be_written_still_tells_who_is_signed_in(world: World, users: Users) -> None:
    user, secret = await accepted(users)
    world.clock.advance(HOUR)
    with closing(sqlite3.connect(sqlite_of(world.services.store).path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        assert await is_signed_in(users, secret)

    assert [session.last_seen_at for session in await users.sessions(user)] == ["2026-04-01T03:00:00.000Z"]


@pytest.mark.parametrize("secret", ["", "x", "\xff" * 43, "x" * 60_000])
async def test_an_invented_secret_is_nobodys(users: Users, secret: str) -> None:
    await accepted(users)

    assert not await is_signed_in(users, secret)


async def test_sessions_are_listed_while_they_hold(world: World, users: Users) -> None:
    user, _ = await accepted(users)
    world.clock.advance(6 * HOUR)
    await users.sign_in(ANN, PASSWORD, ELSEWHERE)

    assert [session.address for session in await users.sessions(user)] == [ELSEWHERE.address, HERE.address]
    world.clock.advance(6 * HOUR)
    assert [session.address for session in await users.sessions(user)] == [ELSEWHERE.address]


async def test_a_session_is_ended_by_its_user_only(users: Users) -> None:
    ann, anns = await accepted(users)
    bob, bobs = await accepted(users, BOB)
    (session,) = await users.sessions(ann)

    await users.end_session(bob, session.id)
    assert await is_signed_in(users, anns)
    await users.end_session(ann, session.id)
    assert not await is_signed_in(users, anns)
    await users.end_all_sessions(bob)
    assert not await is_signed_in(users, bobs)


async def test_no_secret_is_in_the_database(world: World, users: Users) -> None:
    user, link = await invited(users)
    first = await users.accept(link, PASSWORD, HERE)
    second = await users.sign_in(ANN, PASSWORD, HERE)
    pending = await users.reset(user, by=COMMAND_LINE)
    assert len({link, first, second, pending}) == 4

    tables = ("users", "links", "sessions", "activity")
    rows = [await world.services.store.database.fetch_all(f"SELECT * FROM {table}") for table in tables]
    text = "".join(repr(tuple(row)) for table in rows for row in table)
    for secret in (link, first, second, pending, PASSWORD):
        assert secret not in text


async def test_a_removed_user_is_out_at_once(users: Users) -> None:
    user, secret = await accepted(users)
    await users.remove(user, by=COMMAND_LINE)

    assert not await is_signed_in(users, secret)
    with pytest.raises(SignInRefused):
        await users.sign_in(ANN, PASSWORD, HERE)


async def test_a_disabled_clients_members_are_out_until_it_is_enabled(world: World, users: Users) -> None:
    _, secret = await accepted(users)

    await world.services.clients.disable("acme")
    assert not await is_signed_in(users, secret)
    await world.services.clients.enable("acme")
    assert await is_signed_in(users, secret)


# Changing a password.


async def test_a_changed_password_ends_every_session_and_begins_one(users: Users) -> None:
    user, first = await accepted(users)
    second = await users.sign_in(ANN, PASSWORD, ELSEWHERE)
    link = await users.reset(user, by=COMMAND_LINE)
    visitor = await users.visitor(first)
    assert visitor

    third = await users.change_password(visitor, PASSWORD, OTHER_PASSWORD, HERE)

    assert [await is_signed_in(users, secret) for secret in (first, second, third)] == [False, False, True]
    with pytest.raises(LinkEnded):
        await users.link(link)
    with pytest.raises(SignInRefused):
        await users.sign_in(ANN, PASSWORD, HERE)
    assert await users.sign_in(ANN, OTHER_PASSWORD, HERE)


@pytest.mark.parametrize(
    ("current", "new", "error"), [(WRONG, OTHER_PASSWORD, SignInRefused), (PASSWORD, "passwordpassword", InvalidInput)]
)
async def test_a_refused_change_changes_nothing(users: Users, current: str, new: str, error: type[Exception]) -> None:
    _, secret = await accepted(users)
    visitor = await users.visitor(secret)
    assert visitor

    with pytest.raises(error):
        await users.change_password(visitor, current, new, HERE)

    assert await is_signed_in(users, secret)
    assert await users.sign_in(ANN, PASSWORD, HERE)


async def test_guessing_the_current_password_is_braked_too(users: Users) -> None:
    _, secret = await accepted(users)
    visitor = await users.visitor(secret)
    assert visitor
    for _ in range(TRIES.requests):
        with pytest.raises(SignInRefused, match="The current password is wrong"):
            await users.change_password(visitor, WRONG, OTHER_PASSWORD, HERE)

    with pytest.raises(RateLimitExceeded):
        await users.change_password(visitor, PASSWORD, OTHER_PASSWORD, HERE)
    with pytest.raises(RateLimitExceeded):
        await users.sign_in(ANN, PASSWORD, HERE)


Work = Coroutine[Any, Any, Any]


async def written_in_order(world: World, *works: Work) -> list[Any]:
    """What each leads to when all have read and hashed before any writes, and then write one after the other."""
    release = asyncio.Event()
    database = world.services.store.database

    async def wait(_connection: object) -> None:
        await release.wait()

    def transactions() -> int:
        return sum("Database._transaction" in repr(task.get_coro()) for task in asyncio.all_tasks())

    tasks = [asyncio.create_task(database.write(wait))]
    for work in works:
        before = len(tasks)
        tasks.append(asyncio.create_task(work))
        while transactions() < before + 1:
            assert not tasks[-1].done()
            await asyncio.sleep(0)
    release.set()
    return (await asyncio.gather(*tasks, return_exceptions=True))[1:]


async def test_a_reset_is_not_undone_by_a_change_that_was_under_way(world: World, users: Users) -> None:
    user, secret = await accepted(users)
    visitor = await users.visitor(secret)
    assert visitor
    link = await users.reset(user, by=COMMAND_LINE)

    own, stolen = await written_in_order(
        world,
        users.accept(link, OTHER_PASSWORD, HERE),
        users.change_password(visitor, PASSWORD, "thirty stolen teaspoons", ELSEWHERE),
    )

    assert isinstance(stolen, SignInRefused)
    assert str(stolen) == "The current password is wrong"
    assert await is_signed_in(users, own)
    assert len(await users.sessions(user)) == 1
    assert await users.sign_in(ANN, OTHER_PASSWORD, HERE)


async def test_a_sign_in_that_was_under_way_does_not_outlive_a_changed_password(world: World, users: Users) -> None:
    user, secret = await accepted(users)
    visitor = await users.visitor(secret)
    assert visitor

    changed, late = await written_in_order(
        world,
        users.change_password(visitor, PASSWORD, OTHER_PASSWORD, HERE),
        users.sign_in(ANN, PASSWORD, ELSEWHERE),
    )

    assert isinstance(late, SignInRefused)
    assert await is_signed_in(users, changed)
    assert len(await users.sessions(user)) == 1
