"""Links in the store: who gets in by one, what it is used up for, and when it is worth nothing."""

import asyncio
import sqlite3
from contextlib import closing

import msgspec
import pytest

from gateway.errors import Duplicate
from gateway.models import Client, User
from gateway.store import Link, Store
from tests.store.tables.records import ANN, TOMORROW, a_member, a_user, actions, an_entry, sign_in
from tests.support import sqlite_of


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


async def test_a_link_meant_to_replace_another_is_kept_only_while_that_is_the_user_s(
    store: Store, acme: Client
) -> None:
    user = await a_member(store, acme)
    first, second = (Link(digest, "password", user.id, TOMORROW) for digest in (b"first", b"second"))

    of_none = [await store.links.put(first, instead_of=name) for name in (b"first".hex(), "")]
    of_the_first = [await store.links.put(second, instead_of=name) for name in ("", b"first".hex(), b"first".hex())]

    assert (of_none, of_the_first) == ([False, True], [False, True, False])
    assert await store.links.names() == {user.id: b"second".hex()}


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


@pytest.mark.sqlite_only
async def test_the_file_holds_no_secret_of_a_link_that_ended(store: Store, acme: Client) -> None:
    user = await a_member(store, acme)
    await store.links.put(Link(b"link", "password", user.id, TOMORROW))
    await store.links.set_password(user.id, password_hash="hash", link=b"link", entry=an_entry())

    with closing(sqlite3.connect(sqlite_of(store).path)) as connection:
        assert connection.execute("SELECT count(*) FROM links").fetchone() == (0,)
