"""The account page: the visitor's own password and sessions, and nobody else's."""

import re

import httpx2
import pytest

from gateway.auth.sessions import Browser
from gateway.dashboard.paging import PAGE_ROWS
from tests.dashboard.support import (
    HOST,
    PASSWORD,
    accounts_of,
    browser,
    followed,
    give_session,
    rows_of,
    session_of,
    signed_in,
    words,
)
from tests.support import World

ACCOUNT = "/dashboard/settings/account"
MEMBER = "ann@acme.example"
NEW = "seven quiet herons under granite"


@pytest.fixture
async def member(world: World) -> httpx2.AsyncClient:
    """The browser of a member of acme's."""
    await world.client_with_key()
    return await signed_in(world, "acme", MEMBER)


async def elsewhere(world: World, agent: str = "Chromium", address: str = "198.51.100.1") -> httpx2.AsyncClient:
    """Another browser of the same member's."""
    visitor = browser(world, address)
    visitor.headers["User-Agent"] = agent
    answer = await visitor.post("/dashboard/sign-in", data={"email": MEMBER, "password": PASSWORD})
    assert answer.status_code == 303
    return visitor


async def is_signed_in(visitor: httpx2.AsyncClient) -> bool:
    return (await visitor.get(ACCOUNT)).status_code == 200


async def change(
    visitor: httpx2.AsyncClient, current: str = PASSWORD, new: str = NEW, again: str | None = None
) -> httpx2.Response:
    form = {"current": current, "password": new, "again": new if again is None else again}
    return await visitor.post(f"{ACCOUNT}/password", data=form)


async def session_ids(world: World, email: str = MEMBER) -> list[str]:
    """Last seen first."""
    user = await world.services.store.users.by_email(email)
    return [session.id for session in await accounts_of(world).sessions.of_user(user)]


async def test_a_changed_password_signs_out_everywhere_else(world: World, member: httpx2.AsyncClient) -> None:
    other = await elsewhere(world)
    before = session_of(member)

    answer = await change(member)

    assert session_of(member) not in {"", before}
    assert "Your password is changed. You are signed out everywhere else." in words(await followed(member, answer))
    assert not await is_signed_in(other)
    old, new = [
        await browser(world).post("/dashboard/sign-in", data={"email": MEMBER, "password": password})
        for password in (PASSWORD, NEW)
    ]
    assert (old.status_code, new.status_code) == (400, 303)
    thief = browser(world)
    await give_session(world, thief, before)
    assert not await is_signed_in(thief)


@pytest.mark.parametrize(
    ("current", "new", "again", "why"),
    [
        ("wrong", NEW, NEW, "The current password is wrong"),
        (PASSWORD, NEW, f"{NEW} ", "The two passwords differ"),
        (PASSWORD, "short", "short", "A password has 12 to 200 characters"),
        (PASSWORD, "password1234", "password1234", "This password is too easy to guess"),
        (PASSWORD, MEMBER, MEMBER, "This password is too easy to guess"),
    ],
)
async def test_a_refused_change_says_why_and_changes_nothing(
    world: World, member: httpx2.AsyncClient, current: str, new: str, again: str, why: str
) -> None:
    secret = session_of(member)
    answer = await change(member, current, new, again)

    assert answer.status_code == 400
    assert why in words(answer)
    field = "current" if current == "wrong" else "password"
    assert re.findall(r'<input[^>]* name="(\w+)"[^>]* autofocus>', answer.text) == [field]
    assert session_of(member) == secret
    assert await is_signed_in(member)
    assert await is_signed_in(await elsewhere(world))


async def test_guessing_the_current_password_is_throttled(member: httpx2.AsyncClient) -> None:
    for _ in range(5):
        assert (await change(member, "wrong")).status_code == 400

    answer = await change(member)

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "180")
    assert "Too many tries: come back in 3 minutes" in words(answer)


async def test_a_password_is_changed_whatever_is_tried_at_the_same_address(
    world: World, member: httpx2.AsyncClient
) -> None:
    for _ in range(6):
        refused = await browser(world).post("/dashboard/sign-in", data={"email": MEMBER, "password": "wrong"})
    assert refused.status_code == 429

    assert (await change(member)).status_code == 303


async def test_sessions_are_listed_with_browser_and_address(world: World, member: httpx2.AsyncClient) -> None:
    world.clock.advance(7200)
    await elsewhere(world, "Firefox 150 <b>&", "2001:db8::7")

    page = await member.get(ACCOUNT)

    assert "Firefox 150 &lt;b&gt;&amp;" in page.text
    assert "2001:db8::7" in words(page)
    assert "2 hours ago" in words(page)
    assert words(page).count("this browser") == 1
    assert page.text.count('name="session"') == 1


async def test_many_sessions_are_paged_and_searched(world: World, member: httpx2.AsyncClient) -> None:
    user, accounts = await world.services.store.users.by_email(MEMBER), accounts_of(world)
    for number in range(PAGE_ROWS):
        await accounts.sessions.start(user, Browser(f"192.0.2.{number}", "Safari/1 iPhone", "request"))

    pages = [await member.get(f"{ACCOUNT}{query}") for query in ("", "?page=2", "?q=192.0.2.7", "?q=opera")]

    assert [len(rows_of(page.text)) for page in pages] == [PAGE_ROWS, 1, 1, 0]
    assert rows_of(pages[2].text)[0][:2] == ["Safari on iPhone", "192.0.2.7"]


async def test_ending_a_session_signs_that_browser_out(world: World, member: httpx2.AsyncClient) -> None:
    other = await elsewhere(world)
    world.clock.advance(120)
    await is_signed_in(member)

    answer = await member.post(f"{ACCOUNT}/session", data={"session": (await session_ids(world))[1]})

    assert "The session is ended." in words(await followed(member, answer))
    assert not await is_signed_in(other)
    assert await is_signed_in(member)


async def test_ending_ones_own_session_leads_to_the_sign_in(world: World, member: httpx2.AsyncClient) -> None:
    answer = await member.post(f"{ACCOUNT}/session", data={"session": (await session_ids(world))[0]})

    assert "dashboard/sign-in" in (await followed(member, answer)).headers["location"]


@pytest.mark.parametrize("session", ["", "session_0000000000000000", "' OR 1=1 --"])
async def test_nobody_elses_session_is_ended(world: World, member: httpx2.AsyncClient, session: str) -> None:
    bob = await signed_in(world, "acme", "bob@acme.example")
    (bobs,) = await session_ids(world, "bob@acme.example")

    own, foreign = [await member.post(f"{ACCOUNT}/session", data={"session": each}) for each in (session, bobs)]

    assert (own.status_code, own.headers["location"]) == (foreign.status_code, foreign.headers["location"])
    assert await is_signed_in(bob)
    assert await is_signed_in(member)


async def test_signing_out_everywhere_ends_this_session_too(world: World, member: httpx2.AsyncClient) -> None:
    other, bob = await elsewhere(world), await signed_in(world, "acme", "bob@acme.example")

    answer = await member.post(f"{ACCOUNT}/sign-out-everywhere")

    assert "You are signed out." in words(await followed(member, answer))
    assert [await is_signed_in(each) for each in (member, other, bob)] == [False, False, True]


async def test_an_admin_has_an_account_too(world: World) -> None:
    admin = await signed_in(world, None, "olga@operator.example")

    assert "olga@operator.example, admin" in words(await admin.get(ACCOUNT))
    assert (await change(admin)).status_code == 303


async def test_an_unknown_notice_is_none(member: httpx2.AsyncClient) -> None:
    page = await member.get(ACCOUNT, params={"done": "<script>alert(1)</script>"})

    assert page.status_code == 200
    assert 'role="status"' not in page.text
    assert "alert(1)" not in page.text


@pytest.mark.parametrize("path", ["/password", "/session", "/sign-out-everywhere"])
async def test_whoever_is_signed_out_changes_nothing(world: World, member: httpx2.AsyncClient, path: str) -> None:
    anybody = browser(world)

    answer = await anybody.post(f"{ACCOUNT}{path}", data={"session": (await session_ids(world))[0]})

    assert answer.headers["location"].endswith("dashboard/sign-in")
    assert await is_signed_in(member)


async def test_a_session_ends_while_its_page_is_open(world: World, member: httpx2.AsyncClient) -> None:
    world.clock.advance(12 * 3600 + 1)

    answer = await change(member)

    assert (answer.status_code, answer.headers["location"]) == (303, "../../../dashboard/sign-in")
    assert str((await followed(member, answer)).url) == f"https://{HOST}/dashboard/sign-in"
