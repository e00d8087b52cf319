"""The second factor over HTTP: setting it up, signing in by two steps, and admins who must have one."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
from pyotp import TOTP

from gateway.dashboard.session_cookie import PENDING_NAME, SECURE_PREFIX
from gateway.models import Trouble
from gateway.times import format_time
from tests.dashboard.support import (
    HOST,
    PASSWORD,
    accept_invitation,
    accounts_of,
    browser,
    followed,
    give_session,
    invited,
    session_of,
    signed_in,
    words,
)
from tests.support import World, running_gateway

ACCOUNT = "/dashboard/settings/account"
SECOND_FACTOR = f"{ACCOUNT}/second-factor"
SIGN_IN = "/dashboard/sign-in"
CODE = f"{SIGN_IN}/code"
MEMBER = "ann@acme.example"
ADMIN = "olga@operator.example"
WRONG_CODE = "000000"
CAUSE = "http://airbyte answers 503"
SECRET = re.compile(r'<code id="totp-secret">([A-Z2-7]{32})</code>')
RECOVERY_CODES = re.compile(r'<code id="recovery-codes" class="lines">([^<]*)</code>')


@pytest.fixture
async def member(world: World) -> httpx2.AsyncClient:
    """The browser of a member of acme's."""
    await world.client_with_key()
    return await signed_in(world, "acme", MEMBER)


def code_of(world: World, secret: str) -> str:
    """The code of the next half minute, which it is then: one that was not used."""
    world.clock.advance(30)
    return TOTP(secret).at(world.clock.now())


async def set_up(visitor: httpx2.AsyncClient, password: str = PASSWORD) -> httpx2.Response:
    return await visitor.post(f"{SECOND_FACTOR}/set-up", data={"current": password})


async def secret_of(visitor: httpx2.AsyncClient) -> str:
    """The secret of a second factor that is being set up from now on."""
    secret: str = SECRET.findall((await set_up(visitor)).text)[0]
    return secret


async def submit(visitor: httpx2.AsyncClient, name: str, code: str, password: str = PASSWORD) -> httpx2.Response:
    return await visitor.post(f"{SECOND_FACTOR}/{name}", data={"current": password, "code": code})


async def switched_on(world: World, visitor: httpx2.AsyncClient) -> tuple[str, list[str]]:
    """The secret, and the recovery codes."""
    secret = await secret_of(visitor)
    page = await submit(visitor, "on", code_of(world, secret))
    return secret, RECOVERY_CODES.findall(page.text)[0].split()


async def first_step(visitor: httpx2.AsyncClient, email: str = MEMBER, **more: str) -> httpx2.Response:
    return await visitor.post(SIGN_IN, data={"email": email, "password": PASSWORD, **more})


def pending_of(visitor: httpx2.AsyncClient) -> str:
    """The secret in the cookie of a sign-in that waits for a code."""
    cookies = [cookie for cookie in visitor.cookies.jar if cookie.name.startswith(SECURE_PREFIX + PENDING_NAME)]
    return next((cookie.value or "" for cookie in cookies), "")


async def test_it_is_set_up_from_the_account_page(world: World, member: httpx2.AsyncClient) -> None:
    assert "It is off: your password alone signs you in." in words(await member.get(ACCOUNT))
    page = await set_up(member)
    assert page.headers["cache-control"] == "no-store"
    (secret,) = SECRET.findall(page.text)
    issuer = quote(f"Gateway ({HOST})")
    address = f"otpauth://totp/{issuer}:ann%40acme.example?secret={secret}&amp;issuer={issuer}"
    assert f'href="{address}"' in page.text
    assert '<svg viewBox="0 0 ' in page.text
    assert "style=" not in page.text  # The policy of pages would have the browser ignore it.

    answer = await submit(member, "on", code_of(world, secret))

    assert answer.headers["cache-control"] == "no-store"
    assert len(RECOVERY_CODES.findall(answer.text)[0].split()) == 10
    again = await member.get(SECOND_FACTOR)
    assert secret not in again.text
    assert "You have 10 left" in words(again)
    assert "It is on: signing in takes" in words(await member.get(ACCOUNT))


async def test_a_session_alone_is_not_told_the_secret(world: World, member: httpx2.AsyncClient) -> None:
    secret = await secret_of(member)

    again = await member.get(SECOND_FACTOR)
    refused = await set_up(member, "wrong")

    assert "Set up a second factor" in words(again)
    assert refused.status_code == 400
    assert "The current password is wrong" in words(refused)
    for page in (again, refused):
        assert secret not in page.text
        assert "otpauth" not in page.text
        assert SECRET.findall(page.text) == []
    assert (await submit(member, "on", code_of(world, secret))).status_code == 200  # It was not replaced.


@pytest.mark.parametrize(
    ("password", "code", "why", "field", "is_told"),
    [
        (PASSWORD, WRONG_CODE, "The code is wrong or was used already", "code", True),
        (PASSWORD, "", "The code is wrong or was used already", "code", True),
        ("wrong", WRONG_CODE, "The current password is wrong", "current", False),
    ],
)
async def test_a_refusal_says_why_goes_to_the_field_and_tells_the_secret_to_who_knew_the_password(
    world: World, member: httpx2.AsyncClient, password: str, code: str, why: str, field: str, *, is_told: bool
) -> None:
    secret = await secret_of(member)

    answer = await submit(member, "on", code, password)

    assert answer.status_code == 400
    assert why in words(answer)
    assert re.findall(r'<input[^>]* name="(\w+)"[^>]* autofocus>', answer.text) == [field]
    assert SECRET.findall(answer.text) == [secret] * is_told
    assert (secret in answer.text) is is_told
    assert (await submit(member, "on", code_of(world, secret))).status_code == 200


async def test_signing_in_takes_two_steps_and_leads_where_one_wanted_to_go(
    world: World, member: httpx2.AsyncClient
) -> None:
    secret, _ = await switched_on(world, member)
    visitor = browser(world)
    answer = await first_step(visitor, next="dashboard/usage")
    assert answer.headers["location"] == "../dashboard/sign-in/code?next=dashboard%2Fusage"
    form = await followed(visitor, answer)
    assert "Enter your code" in words(form)
    assert session_of(visitor) == ""

    wrong = await visitor.post(CODE, data={"code": WRONG_CODE, "next": "dashboard/usage"})
    assert wrong.status_code == 400
    assert "The code is wrong or was used already" in words(wrong)
    assert 'name="next" value="dashboard/usage"' in wrong.text
    right = await visitor.post(CODE, data={"code": code_of(world, secret), "next": "dashboard/usage"})

    assert right.headers["location"] == "../../dashboard/usage"
    assert (await followed(visitor, right)).status_code == 200
    assert pending_of(visitor) == ""


async def test_the_cookie_between_the_steps_is_kept_as_well_as_a_sessions_and_opens_nothing(
    world: World, member: httpx2.AsyncClient
) -> None:
    await switched_on(world, member)
    visitor = browser(world)
    (header,) = (await first_step(visitor)).headers.get_list("set-cookie")
    assert header.startswith("__Host-sign-in-")
    assert {"HttpOnly", "Secure", "Path=/", "SameSite=lax", "Max-Age=300"} <= set(header.split("; "))

    await give_session(world, visitor, pending_of(visitor))

    for path in (ACCOUNT, SECOND_FACTOR, "/dashboard", "/dashboard/settings/api-keys", "/dashboard/usage.csv"):
        answer = await visitor.get(path)
        assert answer.status_code == 303, path
        assert "dashboard/sign-in" in answer.headers["location"]


async def test_the_second_step_without_the_first_leads_to_the_first(world: World, member: httpx2.AsyncClient) -> None:
    secret, _ = await switched_on(world, member)
    visitor = browser(world)
    for answer in (await visitor.get(CODE), await visitor.post(CODE, data={"code": code_of(world, secret)})):
        assert answer.headers["location"] == "../../dashboard/sign-in?ended=1"
    assert "This sign-in took too long or had too many wrong codes. Sign in again." in words(
        await followed(visitor, answer)
    )


@pytest.mark.parametrize("following", ["https://evil.example/", "//evil.example", "dashboard/../../evil", "x"])
async def test_nobody_is_led_to_another_site_by_two_steps_either(
    world: World, member: httpx2.AsyncClient, following: str
) -> None:
    secret, _ = await switched_on(world, member)
    visitor = browser(world)
    await first_step(visitor, next=following)
    page = await visitor.get(CODE, params={"next": following})

    answer = await visitor.post(CODE, data={"code": code_of(world, secret), "next": following})

    assert set(re.findall(r'name="next" value="([^"]*)"', page.text)) == {"dashboard"}
    assert answer.headers["location"] == "../../dashboard"


async def test_too_many_wrong_codes_say_when_to_come_back(world: World, member: httpx2.AsyncClient) -> None:
    secret, recovery_codes = await switched_on(world, member)
    visitor = browser(world)
    for number in range(5):
        if number % 4 == 0:
            await first_step(visitor)
        assert (await visitor.post(CODE, data={"code": WRONG_CODE})).status_code == 400

    answer = await visitor.post(CODE, data={"code": code_of(world, secret)})

    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert "Too many tries: come back in 3 minutes" in words(answer)
    elsewhere = browser(world, "198.51.100.1")
    await first_step(elsewhere)
    assert (await elsewhere.post(CODE, data={"code": recovery_codes[0]})).status_code == 303


async def test_a_recovery_code_fits_into_either_field(world: World, member: httpx2.AsyncClient) -> None:
    _, recovery_codes = await switched_on(world, member)
    visitor = browser(world)
    await first_step(visitor)

    room = re.findall(r'<input name="code"[^>]* maxlength="([0-9]+)"', (await visitor.get(CODE)).text)

    assert len(room) == 2
    assert all(int(characters) >= len(recovery_codes[0]) for characters in room)


async def test_a_link_for_a_new_password_asks_for_the_code_too(world: World, member: httpx2.AsyncClient) -> None:
    secret, _ = await switched_on(world, member)
    user = await world.services.store.users.by_email(MEMBER)
    link = await accounts_of(world).links.to_set_password(user)
    visitor = browser(world)

    answer = await accept_invitation(visitor, f"/dashboard/link/{link}", "nine loud gulls above basalt")

    assert answer.headers["location"] == "../../dashboard/sign-in/code?next=dashboard"
    assert (await visitor.get(ACCOUNT)).status_code == 303
    await visitor.post(CODE, data={"code": code_of(world, secret)})
    assert (await visitor.get(ACCOUNT)).status_code == 200


async def test_it_is_switched_off_and_recovery_codes_are_made_anew(world: World, member: httpx2.AsyncClient) -> None:
    secret, old = await switched_on(world, member)

    page = await submit(member, "recovery-codes", code_of(world, secret))
    new = RECOVERY_CODES.findall(page.text)[0].split()
    assert (await submit(member, "off", old[0])).status_code == 400
    off = await submit(member, "off", new[0])

    assert "The second factor is off." in words(await followed(member, off))
    assert "dashboard/sign-in/code" not in (await first_step(browser(world))).headers["location"]
    activity = words(await member.get("/dashboard/activity"))
    for what in ("switched a second factor on", "made new recovery codes", "used a recovery code", "factor off"):
        assert what in activity


async def test_an_admin_sees_who_has_one(world: World, member: httpx2.AsyncClient) -> None:
    admin = await signed_in(world, None, ADMIN)
    assert "with a second factor" not in words(await admin.get("/dashboard/admin/users"))

    await switched_on(world, member)

    assert words(await admin.get("/dashboard/admin/users")).count("with a second factor") == 1


@pytest.fixture
async def strict(tmp_path: Path) -> AsyncIterator[World]:
    """A gateway whose admins must have a second factor."""
    async with running_gateway(tmp_path, dashboard={"admin_second_factor": "required"}) as running:
        yield running


async def test_an_admin_who_must_have_one_opens_nothing_else_before(strict: World) -> None:
    admin = await signed_in(strict, None, ADMIN)
    user, _ = await invited(strict, None, "bob@operator.example")
    for method, path in [
        ("GET", "/dashboard/admin"),
        ("GET", "/dashboard/admin/clients"),
        ("GET", "/dashboard/admin/activity.csv"),
        ("GET", "/dashboard"),
        ("GET", ACCOUNT),
        ("POST", "/dashboard/admin/clients"),
        ("POST", f"{ACCOUNT}/password"),
        ("POST", f"/dashboard/admin/users/{user.id}/remove"),
    ]:
        answer = await admin.request(method, path, data={"name": "Acme", "slug": "acme"} if method == "POST" else None)
        assert answer.status_code == 303, path
        assert answer.headers["location"].endswith("dashboard/settings/account/second-factor"), path
    assert await strict.services.store.clients.all() == []
    assert len(await strict.services.store.users.all()) == 2

    async def fail() -> None:
        """As when Airbyte fails: with nothing to ask it for, the next refresh ends that."""
        await strict.services.store.outages.note(Trouble("failing", CAUSE), at=format_time(strict.clock.now()))

    await fail()
    page = words(await admin.get(SECOND_FACTOR))
    assert "Admins of this gateway must have a second factor." in page
    assert CAUSE not in page
    await switched_on(strict, admin)
    await fail()

    assert CAUSE in words(await admin.get("/dashboard/admin"))


async def test_an_admin_who_must_have_one_can_sign_out_before(strict: World) -> None:
    admin = await signed_in(strict, None, ADMIN)

    assert (await admin.post("/dashboard/sign-out")).headers["location"].endswith("sign-in?signed-out=1")


async def test_members_need_none_where_admins_do(strict: World) -> None:
    await strict.client_with_key()
    member = await signed_in(strict, "acme", MEMBER)

    assert (await member.get("/dashboard")).status_code == 200


async def test_whoever_is_signed_out_is_led_to_the_sign_in(world: World) -> None:
    visitor = browser(world)
    answers = [await visitor.get(SECOND_FACTOR)]
    answers += [await submit(visitor, name, WRONG_CODE) for name in ("set-up", "on", "off", "recovery-codes")]

    assert {answer.status_code for answer in answers} == {303}
    assert all("dashboard/sign-in" in answer.headers["location"] for answer in answers)


async def test_a_second_factor_that_is_on_is_not_set_up_again(world: World, member: httpx2.AsyncClient) -> None:
    secret, _ = await switched_on(world, member)

    answer = await set_up(member)

    assert answer.status_code == 400
    assert "A second factor is on already: switch it off first" in words(answer)
    visitor = browser(world)
    await first_step(visitor)
    assert (await visitor.post(CODE, data={"code": code_of(world, secret)})).status_code == 303
