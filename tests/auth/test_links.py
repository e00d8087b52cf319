"""Links that let people in: how long they last, and what ends them."""

import pytest

from gateway.auth.accounts import Accounts
from gateway.errors import LinkEnded, SignInRefused
from gateway.models import COMMAND_LINE
from tests.auth.support import ANN, DAY, ELSEWHERE, HERE, OLGA, OTHER_PASSWORD, PASSWORD, invited
from tests.support import World


async def test_a_link_works_once(accounts: Accounts) -> None:
    _, link = await invited(accounts)
    await accounts.sign_in.set_password(link, PASSWORD, HERE)

    with pytest.raises(LinkEnded):
        await accounts.links.find(link)
    with pytest.raises(LinkEnded):
        await accounts.sign_in.set_password(link, OTHER_PASSWORD, ELSEWHERE)
    with pytest.raises(SignInRefused):
        await accounts.sign_in.by_password(ANN, OTHER_PASSWORD, ELSEWHERE)


async def test_a_link_lasts_a_day(world: World, accounts: Accounts) -> None:
    _, link = await invited(accounts)

    world.clock.advance(DAY - 1)
    assert await accounts.links.find(link)
    world.clock.advance(1)
    with pytest.raises(LinkEnded):
        await accounts.links.find(link)
    with pytest.raises(LinkEnded):
        await accounts.sign_in.set_password(link, PASSWORD, HERE)


async def test_a_newer_link_replaces_the_older(accounts: Accounts) -> None:
    user, first = await invited(accounts)
    second = await accounts.users.reset(user, by=COMMAND_LINE)

    with pytest.raises(LinkEnded):
        await accounts.links.find(first)
    assert await accounts.links.find(second)


async def test_a_link_of_a_disabled_client_is_ended(world: World, accounts: Accounts) -> None:
    _, link = await invited(accounts)
    await world.services.clients.disable("acme")

    with pytest.raises(LinkEnded):
        await accounts.links.find(link)


@pytest.mark.parametrize("secret", ["", "x", "é", "x" * 10_000, "' OR 1=1 --", "\x00"])
async def test_an_invented_link_is_ended_like_a_used_one(accounts: Accounts, secret: str) -> None:
    await invited(accounts)

    with pytest.raises(LinkEnded):
        await accounts.links.find(secret)


async def test_an_invited_admin_ends_the_first_admins_link(accounts: Accounts) -> None:
    link = await accounts.links.to_become_first_admin()
    assert link
    await invited(accounts, OLGA, None)

    with pytest.raises(LinkEnded):
        await accounts.links.find(link)
    with pytest.raises(LinkEnded):
        await accounts.sign_in.set_password(link, PASSWORD, HERE, email="mallory@example.com")
