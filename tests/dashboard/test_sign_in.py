"""Signing in and out, and the links of invitations, over HTTP as a visitor does it."""

import asyncio
import html
import re
from http.cookies import SimpleCookie

import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from gateway.auth.fair_share import MOST_GROUPS
from tests.dashboard.support import (
    HOST,
    PASSWORD,
    accept_invitation,
    accounts_of,
    browser,
    cookie_name,
    followed,
    give_session,
    invited,
    session_of,
    signed_in,
    words,
)
from tests.support import World

SIGN_IN = "/dashboard/sign-in"
SIGN_OUT = "/dashboard/sign-out"
ACCOUNT = "/dashboard/settings/account"
MEMBER = "ann@acme.example"
ADMIN = "olga@operator.example"
WRONG = "The e-mail address or the password is wrong"


@pytest.fixture
async def world(world: World) -> World:
    """With the client acme."""
    await world.client_with_key()
    return world


async def a_member(world: World) -> httpx2.AsyncClient:
    """Signed in, with PASSWORD."""
    return await signed_in(world, "acme", MEMBER)


async def sign_in(
    visitor: httpx2.AsyncClient, email: str = MEMBER, password: str = PASSWORD, **more: str
) -> httpx2.Response:
    return await visitor.post(SIGN_IN, data={"email": email, "password": password, **more})


def cookies_set(answer: httpx2.Response) -> list[str]:
    return answer.headers.get_list("set-cookie")


def same_but_for_the_address(text: str) -> str:
    return re.sub(r'name="email" value="[^"]*"', "", text)


async def test_an_invitation_leads_to_a_password_and_into_the_dashboard(world: World) -> None:
    _, link = await invited(world, "acme", MEMBER)
    visitor = browser(world)
    page = await visitor.get(link)
    assert page.status_code == 200
    assert f'value="{MEMBER}"' in page.text
    assert session_of(visitor) == ""

    answer = await accept_invitation(visitor, link)

    assert (answer.status_code, answer.headers["location"]) == (303, "../../dashboard")
    assert MEMBER in words(await visitor.get(ACCOUNT))


async def test_the_session_cookie_is_for_this_host_over_https_alone_and_out_of_scripts_reach(world: World) -> None:
    await a_member(world)
    answer = await sign_in(browser(world))

    (header,) = cookies_set(answer)
    assert (await cookie_name(world)).startswith("__Host-session-")
    cookie = SimpleCookie(header)[await cookie_name(world)]
    assert re.fullmatch(r"[0-9A-Za-z]{43}", cookie.value)
    assert (cookie["path"], cookie["domain"], cookie["samesite"]) == ("/", "", "lax")
    assert cookie["secure"] is cookie["httponly"] is True
    assert cookie["max-age"] == str(7 * 86400)
    assert answer.headers["cache-control"] == "no-store"


async def test_pages_of_people_who_are_signed_in_are_never_stored(world: World) -> None:
    visitor = await a_member(world)

    for path in (ACCOUNT, "/docs/api", "/dashboard/nothing"):
        answer = await visitor.get(path)
        assert answer.headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


async def test_whoever_is_not_signed_in_is_led_to_the_sign_in_and_back(world: World) -> None:
    await a_member(world)
    visitor = browser(world)
    answer = await visitor.get(ACCOUNT)
    assert answer.headers["location"] == "../../dashboard/sign-in?next=dashboard%2Fsettings%2Faccount"
    page = await followed(visitor, answer)
    assert 'name="next" value="dashboard/settings/account"' in page.text

    answer = await sign_in(visitor, next="dashboard/settings/account")

    assert answer.headers["location"] == "../dashboard/settings/account"


@pytest.mark.parametrize(
    ("asked", "led_to"),
    [
        ("/dashboard/activity?person=ann%20b&from=2026-04-01", "/dashboard/activity?person=ann+b&from=2026-04-01"),
        ("/dashboard/settings/account?done=password", "/dashboard/settings/account"),
        ("/dashboard?q=%2F%2Fevil.example", "/dashboard?q=%2F%2Fevil.example"),
        (f"/dashboard/activity?person={'a' * 600}", "/dashboard"),
    ],
)
async def test_the_way_back_leads_to_what_was_asked_of_the_page(world: World, asked: str, led_to: str) -> None:
    await a_member(world)
    visitor = browser(world)
    page = await followed(visitor, await visitor.get(asked))
    (following,) = re.findall(r'name="next" value="([^"]*)"', page.text)

    answer = await sign_in(visitor, next=html.unescape(following))

    assert answer.headers["location"] == f"..{led_to}"


async def test_a_form_sent_too_late_leads_to_the_sign_in_without_a_way_back(world: World) -> None:
    answer = await browser(world).post(f"{ACCOUNT}/password", data={"current": PASSWORD})

    assert (answer.status_code, answer.headers["location"]) == (303, "../../../dashboard/sign-in")


FOREIGN = [
    "https://evil.example/",
    "//evil.example/",
    "/\\evil.example",
    "\\\\evil.example",
    "dashboard//evil.example",
    "dashboard/../../evil",
    "dashboard/%2e%2e/%2e%2e/evil",
    "dashboard/..\\evil",
    "dashboard/x?y=https://evil.example",
    "dashboard/x#evil",
    "dashboard@evil.example/",
    "dashboard.evil.example/x",
    "javascript:alert(1)//dashboard/",
    "dashboard/\r\nSet-Cookie: evil=1",
    "dashboard/\tx",
    "dashboard/\x00",
    "dashboard/\u202egpj.evil",
    "docs/../evil",
    '"><script>alert(1)</script>',
    "x" * 10_000,
]


async def test_the_sign_in_leads_nowhere_but_to_pages_of_ours(world: World) -> None:
    await a_member(world)
    for following in FOREIGN:
        visitor = browser(world)
        page = await visitor.get(SIGN_IN, params={"next": following})
        assert "<script>" not in page.text

        answer = await sign_in(visitor, next=following)

        assert (answer.status_code, answer.headers["location"]) == (303, "../dashboard"), following
        assert len(cookies_set(answer)) == 1


async def test_an_unknown_address_gets_the_very_page_of_a_wrong_password(world: World) -> None:
    await a_member(world)
    await invited(world, "acme", "bob@acme.example")
    visitor = browser(world)

    pages = [
        await sign_in(visitor, email, password)
        for email, password in [
            (MEMBER, "wrong"),
            (MEMBER, ""),
            (MEMBER, f" {PASSWORD}"),
            ("bob@acme.example", PASSWORD),
            ("nobody@acme.example", PASSWORD),
            ("", ""),
        ]
    ]

    assert {page.status_code for page in pages} == {400}
    assert len({same_but_for_the_address(page.text.replace(" autofocus", "")) for page in pages}) == 1
    assert WRONG in words(pages[0])
    assert f'value="{MEMBER}"' in pages[0].text
    assert PASSWORD not in pages[2].text
    assert session_of(visitor) == ""


async def test_space_around_the_address_is_not_meant(world: World) -> None:
    await a_member(world)

    assert (await sign_in(browser(world), f"  {MEMBER.upper()}\t")).status_code == 303


async def test_after_five_tries_the_page_says_when_to_come_back(world: World) -> None:
    await a_member(world)
    visitor = browser(world)
    for _ in range(5):
        assert (await sign_in(visitor, password="wrong")).status_code == 400

    refused = await sign_in(visitor)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "180")
    assert "Too many tries: come back in 3 minutes" in words(refused)
    assert f'value="{MEMBER}"' in refused.text
    unknown = browser(world, address="203.0.113.9")
    for _ in range(5):
        await sign_in(unknown, "nobody@acme.example", "wrong")
    assert same_but_for_the_address((await sign_in(unknown, "nobody@acme.example")).text) == same_but_for_the_address(
        refused.text
    )

    assert (await sign_in(browser(world, address="198.51.100.1"))).status_code == 303
    world.clock.advance(180)
    assert (await sign_in(visitor)).status_code == 303


async def test_in_a_flood_some_are_told_to_come_back_and_the_api_answers(world: World) -> None:
    key = await world.key()
    flood = [
        asyncio.create_task(sign_in(browser(world, address=f"198.51.100.{number}"), password="wrong"))
        for number in range(MOST_GROUPS * 2)
    ]
    for _ in range(200):
        await asyncio.sleep(0)

    status = await world.http.get("/api/v1/status", headers={"Authorization": f"Bearer {key.text}"})
    assert not all(task.done() for task in flood)
    answers = await asyncio.gather(*flood)

    assert status.status_code == 200
    assert {answer.status_code for answer in answers} == {400, 503}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers if answer.status_code == 503)


async def test_signing_in_begins_a_new_session_and_ends_the_old(world: World) -> None:
    visitor = await a_member(world)
    old = session_of(visitor)
    await sign_in(visitor)
    new = session_of(visitor)

    assert old
    assert new
    assert old != new
    await give_session(world, visitor, old)
    assert (await visitor.get(ACCOUNT)).status_code == 303


async def test_a_cookie_that_was_planted_is_not_taken_over(world: World) -> None:
    await a_member(world)
    planted = "A" * 43
    visitor = browser(world)
    await give_session(world, visitor, planted)

    answer = await sign_in(visitor)

    (header,) = cookies_set(answer)
    assert SimpleCookie(header)[await cookie_name(world)].value != planted
    fresh = browser(world)
    await give_session(world, fresh, planted)
    assert (await fresh.get(ACCOUNT)).status_code == 303


@pytest.mark.parametrize("value", ["", '"', "é".encode().decode("latin-1"), "x" * 4000, "%00", "a,b;c"])
async def test_a_cookie_of_nonsense_is_nobodys(world: World, value: str) -> None:
    answer = await browser(world).get(
        ACCOUNT, headers=[(b"cookie", f"{await cookie_name(world)}={value}".encode("latin-1"))]
    )

    assert answer.status_code == 303


async def test_whoever_is_signed_in_is_led_from_the_sign_in_home(world: World) -> None:
    visitor = await a_member(world)

    assert (await visitor.get(SIGN_IN)).headers["location"] == "../dashboard"


async def test_signing_out_ends_the_session_on_the_server_and_in_the_browser(world: World) -> None:
    visitor = await a_member(world)
    secret = session_of(visitor)
    answer = await visitor.post(SIGN_OUT)

    (header,) = cookies_set(answer)
    cookie = SimpleCookie(header)[await cookie_name(world)]
    assert (cookie.value, cookie["max-age"], cookie["path"]) == ("", "0", "/")
    assert cookie["secure"] is cookie["httponly"] is True
    assert session_of(visitor) == ""
    assert "You are signed out." in words(await followed(visitor, answer))
    thief = browser(world)
    await give_session(world, thief, secret or "")
    assert (await thief.get(ACCOUNT)).status_code == 303


async def test_signing_out_twice_is_no_failure(world: World) -> None:
    assert (await browser(world).post(SIGN_OUT)).status_code == 303


async def test_a_member_has_no_page_of_an_admin(world: World) -> None:
    member, admin = await a_member(world), await signed_in(world, None)

    hidden = await member.get("/dashboard/admin/clients")
    assert hidden.status_code == 404
    assert words(await member.get("/dashboard/nothing")).split("Status")[0] == words(hidden).split("Status")[0]
    assert (await admin.get("/dashboard/admin/clients")).status_code == 200


# Links.


async def test_a_link_is_for_one_password(world: World) -> None:
    _, link = await invited(world, "acme", MEMBER)
    await accept_invitation(browser(world), link)

    for answer in (
        await browser(world).get(link),
        await accept_invitation(browser(world), link),
    ):
        assert answer.status_code == 400
        assert "This link has been used or has expired. Ask for a new one." in words(answer)
        assert cookies_set(answer) == []


async def test_every_link_that_leads_nowhere_says_the_same(world: World) -> None:
    _, used = await invited(world, "acme", MEMBER)
    await accept_invitation(browser(world), used)
    user, replaced = await invited(world, "acme", "bob@acme.example")
    await accounts_of(world).links.to_visit(user)
    await world.client_with_key("gone")
    _, disabled = await invited(world, "gone", "carl@gone.example")
    await world.services.clients.disable("gone")
    visitor = browser(world)

    pages = [words(await visitor.get(link)) for link in (used, replaced, disabled, "/dashboard/link/unknown")]
    _, expired = await invited(world, "acme", "dora@acme.example")
    world.clock.advance(86_400)
    pages.append(words(await visitor.get(expired)))

    assert len({page.split("request")[0] for page in pages}) == 1


@pytest.mark.parametrize(
    ("password", "again", "why"),
    [
        (PASSWORD, f"{PASSWORD}x", "The two passwords differ"),
        ("short", "short", "A password has 12 to 200 characters"),
        ("password1234", "password1234", "This password is too easy to guess"),
        (MEMBER, MEMBER, "This password is too easy to guess"),
        ("", "", "A password has 12 to 200 characters"),
    ],
)
async def test_a_refused_password_is_told_and_leaves_the_link(
    world: World, password: str, again: str, why: str
) -> None:
    _, link = await invited(world, "acme", MEMBER)
    visitor = browser(world)

    answer = await visitor.post(link, data={"password": password, "again": again})

    assert answer.status_code == 400
    assert why in words(answer)
    assert session_of(visitor) == ""
    assert (await accept_invitation(visitor, link)).status_code == 303


@pytest.mark.parametrize(
    ("email", "password", "field"), [(ADMIN, "password1234", "password"), ("olga", PASSWORD, "email")]
)
async def test_after_a_refusal_the_field_that_is_wrong_has_the_focus(
    world: World, email: str, password: str, field: str
) -> None:
    secret = await accounts_of(world).links.to_become_first_admin()
    form = {"email": email, "password": password, "again": password}

    answer = await browser(world).post(f"/dashboard/link/{secret}", data=form)

    assert answer.status_code == 400
    assert re.findall(r'<input[^>]* name="(\w+)"[^>]* autofocus>', answer.text) == [field]


async def test_a_disabled_clients_person_is_told_so_after_the_right_password_only(world: World) -> None:
    await a_member(world)
    await world.services.clients.disable("acme")

    right, wrong = await sign_in(browser(world)), await sign_in(browser(world), password="wrong")

    assert "Access for Acme is disabled. Ask the operator." in words(right)
    assert WRONG in words(wrong)
    assert "disabled" not in words(wrong)


async def test_a_link_is_for_its_own_address_whatever_the_form_says(world: World) -> None:
    _, link = await invited(world, "acme", MEMBER)
    visitor = browser(world)

    await visitor.post(link, data={"email": ADMIN, "password": PASSWORD, "again": PASSWORD})

    assert f"{MEMBER}, member of Acme" in words(await visitor.get(ACCOUNT))


async def test_a_password_set_by_a_link_ends_the_session_of_whoever_used_the_browser(world: World) -> None:
    visitor = await a_member(world)
    old = session_of(visitor)
    _, link = await invited(world, "acme", "bob@acme.example")
    await accept_invitation(visitor, link)

    assert await accounts_of(world).sessions.visitor(old) is None
    now = await accounts_of(world).sessions.visitor(session_of(visitor))
    assert now
    assert now.user.email == "bob@acme.example"


async def test_the_first_admin_gives_his_address(world: World) -> None:
    secret = await accounts_of(world).links.to_become_first_admin()
    link = f"/dashboard/link/{secret}"
    visitor = browser(world)
    assert "Set up the first admin" in words(await visitor.get(link))

    bad = await visitor.post(link, data={"email": "olga", "password": PASSWORD, "again": PASSWORD})
    assert bad.status_code == 400
    assert 'value="olga"' in bad.text

    await visitor.post(link, data={"email": f" {ADMIN} ", "password": PASSWORD, "again": PASSWORD})
    assert f"{ADMIN}, admin" in words(await visitor.get(ACCOUNT))
    assert (await browser(world).get(link)).status_code == 400


async def test_the_first_admins_link_is_over_once_an_admin_is_invited(world: World) -> None:
    secret = await accounts_of(world).links.to_become_first_admin()
    await invited(world, None, ADMIN)

    assert (await browser(world).get(f"/dashboard/link/{secret}")).status_code == 400


async def test_a_link_to_look_around_signs_in_at_once(world: World) -> None:
    visitor = await a_member(world)
    old = session_of(visitor)
    user, _ = await invited(world, "acme", "bob@acme.example")
    link = await accounts_of(world).links.to_visit(user)

    await visitor.get(f"/dashboard/link/{link}")

    assert "bob@acme.example" in words(await visitor.get(ACCOUNT))
    assert await accounts_of(world).sessions.visitor(old) is None
    set_one = await browser(world).post(f"/dashboard/link/{link}", data={"password": PASSWORD, "again": PASSWORD})
    assert set_one.status_code == 400


# What the address bar and the network say.


@pytest.mark.parametrize(
    ("origin", "is_warned"),
    [
        ("http://gateway.example", True),
        ("http://192.0.2.1:8080", True),
        ("http://127.0.0.1:8080", False),
        ("http://localhost:8080", False),
        ("http://[::1]:8080", False),
        ("https://gateway.example", False),
    ],
)
async def test_without_https_the_page_says_why_signing_in_will_fail(
    world: World, origin: str, *, is_warned: bool
) -> None:
    _, link = await invited(world, "acme", MEMBER)
    visitor = browser(world)
    visitor.base_url = httpx2.URL(origin)

    for path in (SIGN_IN, link):
        assert ("was not sent over HTTPS" in words(await visitor.get(path))) == is_warned


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example/x", "[", "a]b", "<script>", "évil", "", "x" * 5000, "user@evil.example:1"]
)
async def test_no_page_repeats_a_host_or_follows_it(world: World, host: str) -> None:
    visitor = browser(world)
    for path in (SIGN_IN, ACCOUNT, "/dashboard/nothing"):
        answer = await visitor.get(path, headers=[(b"host", host.encode("latin-1")), (b"accept", b"text/html")])

        assert answer.status_code in {200, 303, 404}
        assert "evil" not in answer.text + answer.headers.get("location", "")
        assert "<script>" not in answer.text


@pytest.mark.parametrize("query", [b"next=%ff%fe", b"\xff", b"%00=%0d%0a", b"&&==&%%%"])
async def test_a_query_of_nonsense_is_no_failure(world: World, query: bytes) -> None:
    async def with_the_query(scope: Scope, receive: Receive, send: Send) -> None:
        await world.app({**scope, "query_string": query}, receive, send)

    transport = httpx2.ASGITransport(app=with_the_query)
    async with httpx2.AsyncClient(transport=transport, base_url=f"https://{HOST}") as visitor:
        assert (await visitor.get(SIGN_IN)).status_code == 200
        assert (await visitor.get(ACCOUNT)).status_code == 303


async def test_a_405_names_every_method_of_the_path(world: World) -> None:
    visitor = await a_member(world)
    for path, allowed in [
        (SIGN_IN, {"GET", "HEAD", "POST"}),
        ("/dashboard/link/x", {"GET", "HEAD", "POST"}),
        (SIGN_OUT, {"GET", "HEAD", "POST"}),
        (ACCOUNT, {"GET", "HEAD"}),
        (f"{ACCOUNT}/password", {"GET", "HEAD", "POST"}),
    ]:
        answer = await visitor.request("PUT", path, headers={"Sec-Fetch-Site": "same-origin"})

        assert answer.status_code == 405, path
        assert set(answer.headers["allow"].split(", ")) == allowed


async def test_a_head_says_what_a_get_would(world: World) -> None:
    visitor = browser(world)
    get, head = await visitor.get(SIGN_IN), await visitor.head(SIGN_IN)

    assert head.status_code == get.status_code
    for name in ("content-type", "content-length", "cache-control", "content-security-policy"):
        assert head.headers[name] == get.headers[name]
