"""Members and admins: invited, reset and removed."""

import pytest

from gateway.auth.accounts import Accounts
from gateway.errors import Duplicate, InvalidInput, SignInRefused, UnknownRecord
from gateway.models import COMMAND_LINE
from tests.auth.support import ANN, HERE, OTHER_PASSWORD, PASSWORD, accepted, actions, invited, is_signed_in
from tests.support import World


async def test_an_invitation_leads_to_a_password_and_a_session(world: World, accounts: Accounts) -> None:
    user, link = await invited(accounts)
    found, whom = await accounts.links.find(link)
    assert (found.purpose, whom) == ("password", user)

    secret = (await accounts.sign_in.set_password(link, PASSWORD, HERE)).secret

    visitor = await accounts.sessions.visitor(secret)
    assert visitor
    assert visitor.client
    assert (visitor.user.email, visitor.client.slug) == (ANN, "acme")
    assert (await accounts.sign_in.by_password(ANN, PASSWORD, HERE)).secret
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
async def test_who_cannot_be_invited(accounts: Accounts, email: str, slug: str | None, error: type[Exception]) -> None:
    _, link = await invited(accounts)

    with pytest.raises(error):
        await accounts.users.invite(email, slug, by=COMMAND_LINE)

    assert await accounts.links.find(link)


async def test_until_a_reset_is_used_the_old_password_holds(accounts: Accounts) -> None:
    user, session = await accepted(accounts)
    link = await accounts.users.reset(user, by=COMMAND_LINE)
    assert (await accounts.sign_in.by_password(ANN, PASSWORD, HERE)).secret

    await accounts.sign_in.set_password(link, OTHER_PASSWORD, HERE)

    assert not await is_signed_in(accounts, session)
    with pytest.raises(SignInRefused):
        await accounts.sign_in.by_password(ANN, PASSWORD, HERE)


async def test_a_removed_user_is_out_at_once(accounts: Accounts) -> None:
    user, secret = await accepted(accounts)
    await accounts.users.remove(user, by=COMMAND_LINE)

    assert not await is_signed_in(accounts, secret)
    with pytest.raises(SignInRefused):
        await accounts.sign_in.by_password(ANN, PASSWORD, HERE)


async def test_no_secret_is_in_the_database(world: World, accounts: Accounts) -> None:
    user, link = await invited(accounts)
    first = (await accounts.sign_in.set_password(link, PASSWORD, HERE)).secret
    second = (await accounts.sign_in.by_password(ANN, PASSWORD, HERE)).secret
    pending = await accounts.users.reset(user, by=COMMAND_LINE)
    assert len({link, first, second, pending}) == 4

    tables = ("users", "links", "sessions", "activity")
    rows = [await world.services.store.database.fetch_all(f"SELECT * FROM {table}") for table in tables]
    text = "".join(repr(tuple(row)) for table in rows for row in table)
    for secret in (link, first, second, pending, PASSWORD):
        assert secret not in text
