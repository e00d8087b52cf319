"""Signing in by a password or a link, and setting and changing a password."""

import asyncio

import pytest
from structlog.testing import capture_logs

from gateway.auth.accounts import Accounts
from gateway.auth.sign_in import SignedIn
from gateway.auth.sign_in_throttle import TRIES
from gateway.errors import ClientDisabled, Duplicate, InvalidInput, LinkEnded, SignInRefused
from gateway.models import COMMAND_LINE
from gateway.telemetry.log import configure_log
from tests.auth.support import (
    ANN,
    BOB,
    ELSEWHERE,
    HERE,
    OLGA,
    OTHER_PASSWORD,
    PASSWORD,
    WRONG,
    accepted,
    actions,
    invited,
    is_signed_in,
    written_in_order,
)
from tests.support import World


async def test_of_two_who_use_a_link_at_once_one_succeeds(accounts: Accounts) -> None:
    _, link = await invited(accounts)

    results = await asyncio.gather(
        accounts.sign_in.set_password(link, PASSWORD, HERE),
        accounts.sign_in.set_password(link, OTHER_PASSWORD, ELSEWHERE),
        return_exceptions=True,
    )

    assert [type(result) for result in results if not isinstance(result, SignedIn)] == [LinkEnded]


async def test_a_refused_password_leaves_the_link(accounts: Accounts) -> None:
    _, link = await invited(accounts)

    for password in ("short", "passwordpassword", ANN):
        with pytest.raises(InvalidInput):
            await accounts.sign_in.set_password(link, password, HERE)

    assert (await accounts.sign_in.set_password(link, PASSWORD, HERE)).secret


async def test_a_visit_link_signs_in_and_sets_no_password(accounts: Accounts) -> None:
    user, _ = await invited(accounts)
    link = await accounts.links.to_visit(user)

    with pytest.raises(LinkEnded):
        await accounts.sign_in.set_password(link, PASSWORD, HERE)
    for _ in range(2):
        assert await is_signed_in(accounts, await accounts.sign_in.by_link(link, HERE))


async def test_the_link_of_an_invitation_signs_nobody_in_without_a_password(accounts: Accounts) -> None:
    _, link = await invited(accounts)

    with pytest.raises(LinkEnded):
        await accounts.sign_in.by_link(link, HERE)


async def test_the_first_admin_names_himself(world: World, accounts: Accounts) -> None:
    link = await accounts.links.to_become_first_admin()
    assert link

    secret = (await accounts.sign_in.set_password(link, PASSWORD, HERE, email=OLGA)).secret

    visitor = await accounts.sessions.visitor(secret)
    assert visitor
    assert (visitor.user.email, visitor.user.is_admin, visitor.client) == (OLGA, True, None)
    assert await accounts.links.to_become_first_admin() is None
    assert (await actions(world))[:2] == [
        (OLGA, "user.invite", HERE.address),
        (OLGA, "user.sign-in", HERE.address),
    ]


async def test_of_two_who_want_to_be_the_first_admin_one_is(world: World, accounts: Accounts) -> None:
    link = await accounts.links.to_become_first_admin()
    assert link

    results = await asyncio.gather(
        accounts.sign_in.set_password(link, PASSWORD, HERE, email=OLGA),
        accounts.sign_in.set_password(link, PASSWORD, ELSEWHERE, email="mallory@example.com"),
        return_exceptions=True,
    )

    assert [type(result) for result in results if not isinstance(result, SignedIn)] == [LinkEnded]
    assert len(await world.services.store.users.all()) == 1


@pytest.mark.parametrize(("email", "error"), [("", InvalidInput), ("olga", InvalidInput), (ANN, Duplicate)])
async def test_a_bad_address_leaves_the_first_admins_link(
    accounts: Accounts, email: str, error: type[Exception]
) -> None:
    await invited(accounts)
    link = await accounts.links.to_become_first_admin()
    assert link

    with pytest.raises(error):
        await accounts.sign_in.set_password(link, PASSWORD, HERE, email=email)

    assert (await accounts.sign_in.set_password(link, PASSWORD, HERE, email=OLGA)).secret


async def test_a_members_link_makes_no_admin_of_him(accounts: Accounts) -> None:
    _, link = await invited(accounts)

    secret = (await accounts.sign_in.set_password(link, PASSWORD, HERE, email=OLGA)).secret
    visitor = await accounts.sessions.visitor(secret)

    assert visitor
    assert (visitor.user.email, visitor.user.is_admin) == (ANN, False)


@pytest.mark.parametrize("email", [ANN, ANN.upper(), "Ann@Acme.Example"])
async def test_an_address_is_known_in_whatever_case(accounts: Accounts, email: str) -> None:
    await accepted(accounts)

    assert (await accounts.sign_in.by_password(email, PASSWORD, HERE)).secret


async def test_every_wrong_sign_in_says_the_same(world: World, accounts: Accounts) -> None:
    await accepted(accounts)
    await invited(accounts, BOB)
    await world.services.clients.add(slug="gone", name="Gone", plan="free")
    await accepted(accounts, "carl@gone.example", "gone")
    await world.services.clients.disable("gone")
    cases = [
        (ANN, WRONG),
        (ANN, ""),
        (BOB, PASSWORD),
        (BOB, ""),
        ("carl@gone.example", WRONG),
        ("nobody@acme.example", PASSWORD),
        ("", ""),
        ("x" * 60_000, "y" * 60_000),
        ("ann@acme.example\x00", PASSWORD),
    ]
    texts = set()
    for email, password in cases:
        with pytest.raises(SignInRefused) as refusal:
            await accounts.sign_in.by_password(email, password, HERE)
        texts.add(str(refusal.value))

    assert texts == {"The e-mail address or the password is wrong"}


async def test_who_knows_the_password_is_told_that_the_client_is_disabled(world: World, accounts: Accounts) -> None:
    await accepted(accounts)
    await world.services.clients.disable("acme")

    for _ in range(TRIES.requests + 1):  # A right password never counts.
        with pytest.raises(ClientDisabled, match=r"^Access for Acme is disabled\. Ask the operator\.$"):
            await accounts.sign_in.by_password(ANN, PASSWORD, HERE)
    await world.services.clients.enable("acme")
    assert (await accounts.sign_in.by_password(ANN, PASSWORD, HERE)).secret


async def test_a_refused_password_is_logged_without_what_was_typed(accounts: Accounts) -> None:
    user, _ = await accepted(accounts)
    configure_log(level="info", style="json")
    with capture_logs() as lines:
        for email in (ANN, "typed-a-password-here"):
            with pytest.raises(SignInRefused):
                await accounts.sign_in.by_password(email, WRONG, HERE)

    refused = {"event": "password_refused", "log_level": "info", "address": HERE.address, "request_id": "request-1"}
    assert lines == [{**refused, "user": user.id}, {**refused, "user": None}]


async def test_a_changed_password_ends_every_session_and_begins_one(accounts: Accounts) -> None:
    user, first = await accepted(accounts)
    second = (await accounts.sign_in.by_password(ANN, PASSWORD, ELSEWHERE)).secret
    link = await accounts.users.reset(user, by=COMMAND_LINE)
    visitor = await accounts.sessions.visitor(first)
    assert visitor

    third = await accounts.sign_in.change_password(visitor, PASSWORD, OTHER_PASSWORD, HERE)

    assert [await is_signed_in(accounts, secret) for secret in (first, second, third)] == [False, False, True]
    with pytest.raises(LinkEnded):
        await accounts.links.find(link)
    with pytest.raises(SignInRefused):
        await accounts.sign_in.by_password(ANN, PASSWORD, HERE)
    assert (await accounts.sign_in.by_password(ANN, OTHER_PASSWORD, HERE)).secret


@pytest.mark.parametrize(
    ("current", "new", "error"), [(WRONG, OTHER_PASSWORD, SignInRefused), (PASSWORD, "passwordpassword", InvalidInput)]
)
async def test_a_refused_change_changes_nothing(
    accounts: Accounts, current: str, new: str, error: type[Exception]
) -> None:
    _, secret = await accepted(accounts)
    visitor = await accounts.sessions.visitor(secret)
    assert visitor

    with pytest.raises(error):
        await accounts.sign_in.change_password(visitor, current, new, HERE)

    assert await is_signed_in(accounts, secret)
    assert (await accounts.sign_in.by_password(ANN, PASSWORD, HERE)).secret


async def test_a_reset_is_not_undone_by_a_change_that_was_under_way(world: World, accounts: Accounts) -> None:
    user, secret = await accepted(accounts)
    visitor = await accounts.sessions.visitor(secret)
    assert visitor
    link = await accounts.users.reset(user, by=COMMAND_LINE)

    own, stolen = await written_in_order(
        world,
        accounts.sign_in.set_password(link, OTHER_PASSWORD, HERE),
        accounts.sign_in.change_password(visitor, PASSWORD, "thirty stolen teaspoons", ELSEWHERE),
    )

    assert isinstance(stolen, SignInRefused)
    assert str(stolen) == "The current password is wrong"
    assert await is_signed_in(accounts, own.secret)
    assert len(await accounts.sessions.of_user(user)) == 1
    assert (await accounts.sign_in.by_password(ANN, OTHER_PASSWORD, HERE)).secret


async def test_a_sign_in_that_was_under_way_does_not_outlive_a_changed_password(
    world: World, accounts: Accounts
) -> None:
    user, secret = await accepted(accounts)
    visitor = await accounts.sessions.visitor(secret)
    assert visitor

    changed, late = await written_in_order(
        world,
        accounts.sign_in.change_password(visitor, PASSWORD, OTHER_PASSWORD, HERE),
        accounts.sign_in.by_password(ANN, PASSWORD, ELSEWHERE),
    )

    assert isinstance(late, SignInRefused)
    assert await is_signed_in(accounts, changed)
    assert len(await accounts.sessions.of_user(user)) == 1
