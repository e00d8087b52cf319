"""Users and links: an address once, a link once, and a password only in place of the one it was checked against."""

import asyncio
import sqlite3
from contextlib import closing

import msgspec
import pytest

from gateway.errors import Duplicate, Unknown
from gateway.models import ActivityEntry, ApiKey, Client, Session, User
from gateway.store import Link, Store
from tests.support import sqlite_of

NOW = "2026-04-01T03:00:00.000Z"
TOMORROW = "2026-04-02T03:00:00.000Z"
ANN = "ann@acme.example"


def an_entry(action: str = "user.invite") -> ActivityEntry:
    return ActivityEntry(NOW, None, "somebody", action, "somebody else")


def a_user(client: Client | None, user_id: str = "user_1", email: str = ANN) -> User:
    return User(id=user_id, client_id=None if client is None else client.id, email=email, created_at=NOW)


async def a_member(store: Store, client: Client, *, password_hash: str | None = None) -> User:
    user = a_user(client)
    await store.users.add(user, entry=an_entry())
    if password_hash is not None:
        await store.links.put(Link(b"first", "password", user.id, TOMORROW))
        assert await store.links.set_password(user.id, password_hash=password_hash, link=b"first", entry=an_entry())
    return user


async def sign_in(store: Store, user: User, *, digest: bytes = b"session") -> None:
    session = Session(f"session_{digest.hex()}", user.id, NOW, NOW, "192.0.2.1", "Firefox")
    assert await store.sessions.add(session, digest=digest, password_hash=None, ended_before=NOW, entry=an_entry())


async def actions(store: Store) -> list[str]:
    return [entry.action for entry in reversed(await store.activity.all(limit=100))]


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
    with pytest.raises(Unknown):
        await store.users.by_email(email)


async def test_nobody_has_an_id_that_was_not_given(store: Store) -> None:
    with pytest.raises(Unknown):
        await store.users.by_id("user_1")


async def test_credentials_are_hidden_from_what_prints_them(store: Store, acme: Client) -> None:
    await a_member(store, acme, password_hash="$argon2id$secret")

    credentials = await store.users.credentials(ANN)

    assert credentials
    assert credentials.password_hash == "$argon2id$secret"
    assert "argon2" not in repr(credentials)


async def test_a_disabled_clients_members_have_neither_credentials_nor_links(store: Store, acme: Client) -> None:
    user = await a_member(store, acme, password_hash="hash")
    await store.links.put(Link(b"reset", "password", user.id, TOMORROW))

    await store.clients.disable(acme.id, at=NOW)
    assert await store.users.credentials(ANN) is None
    assert await store.links.by_digest(b"reset") is None

    await store.clients.enable(acme.id)
    assert await store.users.credentials(ANN)
    assert await store.links.by_digest(b"reset")


async def test_a_link_is_found_by_its_digest_alone(store: Store, acme: Client) -> None:
    user = await a_member(store, acme)
    link = Link(b"digest", "password", user.id, TOMORROW)
    await store.links.put(link)

    assert await store.links.by_digest(b"digest") == link
    assert await store.links.by_digest(b"other") is None


async def test_a_newer_link_ends_the_older_of_the_same_user_only(store: Store, acme: Client) -> None:
    user = await a_member(store, acme)
    await store.users.add(a_user(acme, "user_2", "bob@acme.example"), entry=an_entry())
    await store.links.put(Link(b"anns", "password", user.id, TOMORROW))
    await store.links.put(Link(b"bobs", "password", "user_2", TOMORROW))

    await store.links.put(Link(b"newer", "password", user.id, TOMORROW))

    assert await store.links.by_digest(b"anns") is None
    assert await store.links.by_digest(b"bobs")
    assert await store.links.by_digest(b"newer")


async def test_a_link_sets_a_password_once_and_ends_every_session(store: Store, acme: Client) -> None:
    user = await a_member(store, acme)
    await sign_in(store, user)
    await store.links.put(Link(b"link", "password", user.id, TOMORROW))

    results = await asyncio.gather(
        *(
            store.links.set_password(user.id, password_hash=f"hash {n}", link=b"link", entry=an_entry("user.password"))
            for n in range(5)
        )
    )

    assert sorted(results) == [False, False, False, False, True]
    credentials = await store.users.credentials(ANN)
    assert credentials
    assert credentials.password_hash == f"hash {results.index(True)}"
    assert credentials.user.has_password
    assert await store.sessions.visitor(b"session") is None
    assert (await actions(store)).count("user.password") == 1


async def test_a_link_sets_nobody_elses_password(store: Store, acme: Client) -> None:
    user = await a_member(store, acme)
    await store.users.add(a_user(acme, "user_2", "bob@acme.example"), entry=an_entry())
    await store.links.put(Link(b"link", "password", user.id, TOMORROW))
    await store.links.put(Link(b"visit", "visit", "user_2", TOMORROW))

    for link in (b"link", b"visit", b"unknown"):
        assert not await store.links.set_password("user_2", password_hash="hash", link=link, entry=an_entry())

    assert not (await store.users.by_id("user_2")).has_password
    assert await store.links.by_digest(b"link")


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


def first_admin(number: int) -> User:
    return a_user(None, f"user_{number}", f"{number}@operator.example")


async def test_one_of_many_becomes_the_first_admin(store: Store) -> None:
    await store.links.put(Link(b"link", "first-admin", None, TOMORROW))

    results = await asyncio.gather(
        *(
            store.links.add_first_admin(first_admin(n), password_hash="hash", link=b"link", entry=an_entry())
            for n in range(5)
        )
    )

    assert sorted(results) == [False, False, False, False, True]
    (admin,) = await store.users.all()
    assert admin == msgspec.structs.replace(first_admin(results.index(True)), has_password=True)
    assert await actions(store) == ["user.invite"]


async def test_the_first_admins_link_is_worth_nothing_once_there_is_an_admin(store: Store) -> None:
    await store.links.put(Link(b"link", "first-admin", None, TOMORROW))
    assert not await store.users.has_admin()

    await store.users.add(first_admin(1), entry=an_entry())

    assert await store.users.has_admin()
    assert await store.links.by_digest(b"link") is None
    assert not await store.links.add_first_admin(first_admin(2), password_hash="x", link=b"link", entry=an_entry())
    assert [user.id for user in await store.users.all()] == ["user_1"]


async def test_other_links_make_no_admin(store: Store, acme: Client) -> None:
    user = await a_member(store, acme)
    for purpose in ("password", "visit"):
        await store.links.put(Link(b"link", purpose, user.id, TOMORROW))
        assert not await store.links.add_first_admin(first_admin(1), password_hash="x", link=b"link", entry=an_entry())

    assert not await store.users.has_admin()


async def test_an_address_that_is_taken_leaves_the_first_admins_link(store: Store, acme: Client) -> None:
    await a_member(store, acme)
    await store.links.put(Link(b"link", "first-admin", None, TOMORROW))
    clash = a_user(None, "user_2", ANN.upper())

    with pytest.raises(Duplicate):
        await store.links.add_first_admin(clash, password_hash="hash", link=b"link", entry=an_entry("second"))

    assert await store.links.by_digest(b"link")
    assert "second" not in await actions(store)


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


@pytest.mark.sqlite_only
async def test_the_file_holds_no_secret_of_a_link_that_ended(store: Store, acme: Client) -> None:
    user = await a_member(store, acme)
    await store.links.put(Link(b"link", "password", user.id, TOMORROW))
    await store.links.set_password(user.id, password_hash="hash", link=b"link", entry=an_entry())

    with closing(sqlite3.connect(sqlite_of(store).path)) as connection:
        assert connection.execute("SELECT count(*) FROM links").fetchone() == (0,)
