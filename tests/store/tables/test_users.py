"""Users in the store: an address once, and a password only in place of the one it was checked against."""

import asyncio

import pytest

from gateway.errors import Duplicate, UnknownRecord
from gateway.models import ApiKey, Client
from gateway.store import Link, Store
from tests.store.tables.records import ANN, NOW, TOMORROW, a_member, a_user, actions, an_entry, sign_in


async def test_a_new_user_has_no_password_and_was_never_here(store: Store, acme: Client) -> None:
    member, admin = a_user(acme), a_user(None, "user_2", "olga@operator.example")
    await store.users.add(member, entry=an_entry())
    await store.users.add(admin, entry=an_entry())

    assert await store.users.by_id("user_1") == await store.users.by_email(ANN) == member
    assert (member.is_admin, member.has_password, member.last_sign_in_at) == (False, False, None)
    assert (await store.users.by_id("user_2")).is_admin


async def test_users_are_listed_admins_first_then_by_client(store: Store, acme: Client, other: Client) -> None:
    for number, client in enumerate([other, acme, None, acme]):
        await store.users.add(a_user(client, f"user_{number}", f"{number}@x.example"), entry=an_entry())

    assert [user.id for user in await store.users.all()] == ["user_2", "user_1", "user_3", "user_0"]
    assert [user.id for user in await store.users.of_client(acme.id)] == ["user_1", "user_3"]


@pytest.mark.parametrize("email", [ANN, "ANN@acme.example", "Ann@Acme.Example"])
async def test_an_address_is_one_users_in_whatever_case(store: Store, acme: Client, other: Client, email: str) -> None:
    await a_member(store, acme)

    with pytest.raises(Duplicate, match=email):
        await store.users.add(a_user(other, "user_2", email), entry=an_entry("user.second"))

    assert (await store.users.by_email(email)).id == "user_1"
    assert await actions(store) == ["user.invite"]


@pytest.mark.parametrize("email", ["ann@acme.example ", "ann@acme.exampl", "ann@acme.example\x00", "", "'--"])
async def test_another_address_is_nobodys(store: Store, acme: Client, email: str) -> None:
    await a_member(store, acme, password_hash="hash")

    assert await store.users.credentials(email) is None
    with pytest.raises(UnknownRecord):
        await store.users.by_email(email)


async def test_nobody_has_an_id_that_was_not_given(store: Store) -> None:
    with pytest.raises(UnknownRecord):
        await store.users.by_id("user_1")


async def test_credentials_are_hidden_from_what_prints_them(store: Store, acme: Client) -> None:
    await a_member(store, acme, password_hash="$argon2id$secret")

    credentials = await store.users.credentials(ANN)

    assert credentials
    assert credentials.password_hash == "$argon2id$secret"
    assert "argon2" not in repr(credentials)


async def test_credentials_tell_of_a_disabled_client_and_its_members_have_no_links(store: Store, acme: Client) -> None:
    user = await a_member(store, acme, password_hash="hash")
    await store.links.put(Link(b"reset", "password", user.id, TOMORROW))

    await store.clients.disable(acme.id, at=NOW)
    credentials = await store.users.credentials(ANN)
    assert credentials
    assert credentials.disabled_client == "Acme"
    assert await store.links.by_digest(b"reset") is None

    await store.clients.enable(acme.id)
    credentials = await store.users.credentials(ANN)
    assert credentials
    assert credentials.disabled_client is None
    assert await store.links.by_digest(b"reset")


async def test_a_changed_password_ends_sessions_and_a_link_that_is_under_way(store: Store, acme: Client) -> None:
    user = await a_member(store, acme, password_hash="old")
    await sign_in(store, user)
    await store.links.put(Link(b"reset", "password", user.id, TOMORROW))

    assert await store.users.change_password(user.id, password_hash="new", instead_of="old", entry=an_entry())

    assert await store.sessions.visitor(b"session") is None
    assert await store.links.by_digest(b"reset") is None


async def test_a_password_that_was_changed_meanwhile_is_not_changed_back(store: Store, acme: Client) -> None:
    user = await a_member(store, acme, password_hash="old")
    await store.links.put(Link(b"reset", "password", user.id, TOMORROW))
    await store.links.set_password(user.id, password_hash="reset", link=b"reset", entry=an_entry())
    await sign_in(store, user)

    assert not await store.users.change_password(user.id, password_hash="theirs", instead_of="old", entry=an_entry())

    credentials = await store.users.credentials(ANN)
    assert credentials
    assert credentials.password_hash == "reset"
    assert await store.sessions.visitor(b"session")


async def test_a_removed_user_leaves_no_session_and_no_link(store: Store, acme: Client) -> None:
    user = await a_member(store, acme)
    await sign_in(store, user)
    await store.links.put(Link(b"link", "password", user.id, TOMORROW))

    assert await store.users.remove(user.id, entry=an_entry("user.remove"))

    assert await store.users.all() == []
    assert await store.sessions.visitor(b"session") is None
    assert await store.links.by_digest(b"link") is None
    assert not await store.users.remove(user.id, entry=an_entry("user.again"))
    assert (await actions(store))[-1] == "user.remove"


async def test_the_last_admin_who_can_sign_in_stays(store: Store) -> None:
    for number in (1, 2):
        await store.users.add(a_user(None, f"user_{number}", f"{number}@operator.example"), entry=an_entry())
    await store.links.put(Link(b"link", "password", "user_1", TOMORROW))
    await store.links.set_password("user_1", password_hash="hash", link=b"link", entry=an_entry())

    assert not await store.users.remove("user_1", entry=an_entry("user.remove"))
    assert await store.users.remove("user_2", entry=an_entry("user.remove"))
    assert [user.id for user in await store.users.all()] == ["user_1"]


async def test_a_removed_clients_members_go_with_it(store: Store, acme: Client) -> None:
    user = await a_member(store, acme)
    await sign_in(store, user)

    await store.clients.remove(acme.id)

    assert await store.users.all() == []
    assert await store.sessions.visitor(b"session") is None


async def test_what_users_do_leaves_the_keys_that_were_read_cached(store: Store, acme: Client) -> None:
    key = ApiKey(id="key_1", client_id=acme.id, start="smrt_abcd…", name="k", scope="full", created_at=NOW)
    await store.api_keys.add(key, digest=b"key")
    await store.api_keys.principal(b"key")
    assert store.api_keys.remembered(b"key")

    user = await a_member(store, acme, password_hash="old")
    await sign_in(store, user)
    await store.users.change_password(user.id, password_hash="new", instead_of="old", entry=an_entry())
    await store.users.remove(user.id, entry=an_entry())
    await asyncio.sleep(0)

    assert store.api_keys.remembered(b"key")
