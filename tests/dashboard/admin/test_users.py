"""The operator's page about users: invitations, links shown once, removal."""

import asyncio
import re

import httpx2
import pytest

from gateway.models import COMMAND_LINE
from tests.dashboard.support import HOST, accept_invitation, accounts_of, browser, followed, signed_in, words
from tests.support import World

USERS = "/dashboard/admin/users"
LINK = re.compile(rf"https://{re.escape(HOST)}(/dashboard/link/[0-9A-Za-z]{{43}})")


async def invite(admin: httpx2.AsyncClient, email: str, client: str) -> httpx2.Response:
    return await admin.post(USERS, data={"email": email, "client": client})


def link_in(page: httpx2.Response) -> str:
    """The path of the link that the page shows."""
    match = LINK.search(page.text)
    assert match
    return match[1]


async def id_of(world: World, email: str) -> str:
    return (await world.services.store.users.by_email(email)).id


async def test_a_members_invitation_works_once(world: World) -> None:
    await world.client_with_key("acme")
    admin, ann, thief = await signed_in(world, None), browser(world), browser(world)

    path = link_in(await invite(admin, "ann@acme.example", "acme"))
    accepted = await accept_invitation(ann, path)
    again = await accept_invitation(thief, path)

    account = await ann.get("/dashboard/settings/account")
    listed = await admin.get(USERS)
    assert accepted.status_code == 303
    assert "member of Acme" in account.text
    assert again.status_code == 400
    assert (await thief.get("/dashboard/settings/account")).status_code == 303
    assert "ann@acme.example" in listed.text


async def test_an_admins_invitation_makes_an_admin(world: World) -> None:
    admin, other = await signed_in(world, None), browser(world)

    await accept_invitation(other, link_in(await invite(admin, "second@agency.example", "*")))

    assert (await other.get(USERS)).status_code == 200


async def test_the_link_is_shown_once_and_stands_nowhere_else(world: World) -> None:
    admin = await signed_in(world, None)

    shown = await invite(admin, "second@agency.example", "*")
    later = await admin.get(USERS)

    secret = link_in(shown).rpartition("/")[2]
    assert (shown.status_code, shown.headers["cache-control"]) == (200, "no-store")
    assert secret not in repr(shown.headers) + later.text
    assert all(secret not in repr(entry) for entry in await world.services.store.activity.all(limit=100))


@pytest.mark.parametrize(
    ("email", "client", "problem"),
    [
        ("nonsense", "acme", "The e-mail address must look like"),
        ("ADMIN@example.com", "acme", "There already is a user with the address"),
        ("ann@acme.example", "", "Choose the client whose member"),
        ("ann@acme.example", "nobody", "There is no client"),
        ('"><script>alert(1)</script>', "acme", "The e-mail address must look like"),
    ],
)
async def test_bad_input_keeps_what_was_typed(world: World, email: str, client: str, problem: str) -> None:
    await world.client_with_key("acme")
    admin = await signed_in(world, None)

    answer = await invite(admin, email, client)

    typed = email.replace('"', "&#34;").replace("<", "&lt;").replace(">", "&gt;")
    assert answer.status_code == 400
    assert problem in answer.text
    assert f'value="{typed}"' in answer.text
    assert client != "acme" or '<option value="acme" selected>' in answer.text
    assert [user.email for user in await world.services.store.users.all()] == ["admin@example.com"]


async def test_a_new_link_ends_the_one_before(world: World) -> None:
    await world.client_with_key("acme")
    admin, ann = await signed_in(world, None), browser(world)
    lost = link_in(await invite(admin, "ann@acme.example", "acme"))

    found = link_in(await admin.post(f"{USERS}/{await id_of(world, 'ann@acme.example')}/link", data={"any": ""}))

    assert (await accept_invitation(ann, lost)).status_code == 400
    assert (await accept_invitation(ann, found)).status_code == 303


async def test_a_form_for_a_new_link_that_comes_twice_makes_one_link(world: World) -> None:
    await world.client_with_key("acme")
    admin, ann = await signed_in(world, None), browser(world)
    await invite(admin, "ann@acme.example", "acme")
    page = (await admin.get(f"{USERS}?q=ann")).text
    (replaced,) = re.findall(r'name="instead_of" value="([0-9a-f]+)"', page)
    form = {"instead_of": replaced}
    path = f"{USERS}/{await id_of(world, 'ann@acme.example')}/link"

    answers = await asyncio.gather(*(admin.post(path, data=form) for _ in range(2)))

    shown, repeated = sorted(answers, key=lambda answer: answer.status_code)
    assert "No link was made" in words(await followed(admin, repeated))
    assert (await accept_invitation(ann, link_in(shown))).status_code == 303
    assert (await admin.post(path, data=form)).status_code == 303


async def test_a_removed_user_is_signed_out_everywhere(world: World) -> None:
    await world.client_with_key("acme")
    admin, ann = await signed_in(world, None), await signed_in(world, "acme", "ann@acme.example")
    before = await ann.get("/dashboard/settings/account")

    answer = await admin.post(f"{USERS}/{await id_of(world, 'ann@acme.example')}/remove", data={})

    after = await ann.get("/dashboard/settings/account")
    assert answer.headers["location"].endswith("?done=removed")
    assert (before.status_code, after.status_code) == (200, 303)
    assert "ann@acme.example" not in (await admin.get(USERS)).text


async def test_the_last_admin_who_can_sign_in_stays(world: World) -> None:
    admin = await signed_in(world, None)
    await accounts_of(world).users.invite("invited@agency.example", None, by=COMMAND_LINE)

    page = await admin.get(USERS)
    answer = await admin.post(f"{USERS}/{await id_of(world, 'admin@example.com')}/remove", data={})

    assert "The last admin cannot be removed." in page.text
    assert answer.status_code == 400
    assert "is the last admin who can sign in" in answer.text
    assert (await admin.get(USERS)).status_code == 200


async def test_an_admin_who_is_not_the_last_is_removed(world: World) -> None:
    admin, other = await signed_in(world, None), await signed_in(world, None, "other@agency.example")

    await admin.post(f"{USERS}/{await id_of(world, 'other@agency.example')}/remove", data={})

    assert (await other.get(USERS)).status_code == 303
    assert (await admin.get(USERS)).status_code == 200


async def test_the_list_tells_passwords_and_sign_ins(world: World) -> None:
    await world.client_with_key("acme")
    admin = await signed_in(world, None)
    await invite(admin, "ann@acme.example", "acme")
    world.clock.advance(7200)

    member, own = await admin.get(f"{USERS}?q=acme"), await admin.get(f"{USERS}?q=admin@")

    assert "ann@acme.example Acme not yet never 2 hours ago" in words(member)
    assert "admin@example.com you admin set 2 hours ago 2 hours ago" in words(own)


async def test_an_address_is_never_markup(world: World) -> None:
    await world.client_with_key("acme")
    admin = await signed_in(world, None)

    await invite(admin, '"><script>alert(1)</script>@x', "acme")
    answers = [
        await admin.get(USERS),
        await admin.get(f"{USERS}?q=script"),
        await admin.get("/dashboard/admin/clients/acme/users"),
    ]

    assert all("<script>alert" not in answer.text for answer in answers)
    assert all("&lt;script&gt;alert(1)&lt;/script&gt;@x" in answer.text for answer in answers)


@pytest.mark.parametrize("action", ["link", "remove"])
async def test_an_unknown_user_is_not_found(world: World, action: str) -> None:
    admin = await signed_in(world, None)

    assert (await admin.post(f"{USERS}/user_0000000000000000/{action}", data={})).status_code == 404
