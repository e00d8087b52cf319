"""Sessions: found by the digest of a secret, only while user and client are as they should be."""

import msgspec
import pytest

from gateway.models import ActivityEntry, Client, Session, User
from gateway.store import Link, Store

NOW = "2026-04-01T03:00:00.000Z"
LATER = "2026-04-01T04:00:00.000Z"
LONG_AGO = "2026-03-01T03:00:00.000Z"


def an_entry() -> ActivityEntry:
    return ActivityEntry(NOW, None, "ann@acme.example", "user.sign-in", "ann@acme.example")


def a_session(user: User, name: str = "one", *, at: str = NOW) -> Session:
    return Session(f"session_{name}", user.id, at, at, "192.0.2.1", "Firefox")


async def add(
    store: Store,
    session: Session,
    *,
    digest: bytes | None = None,
    password_hash: str | None = None,
    has_proof: bool = False,
) -> bool:
    """By default its digest is its id."""
    return await store.sessions.add(
        session,
        digest=digest or session.id.encode(),
        password_hash=password_hash,
        has_proof=has_proof,
        ended_before=LONG_AGO,
        entry=an_entry(),
        noted_since=LONG_AGO,
    )


@pytest.fixture
async def ann(store: Store, acme: Client) -> User:
    user = User(id="user_1", client_id=acme.id, email="ann@acme.example", created_at=NOW)
    await store.users.add(user, entry=an_entry())
    return user


@pytest.fixture
async def olga(store: Store) -> User:
    """An admin."""
    user = User(id="user_2", client_id=None, email="olga@operator.example", created_at=NOW)
    await store.users.add(user, entry=an_entry())
    return user


async def ids_of(store: Store, user: User) -> list[str]:
    return [session.id for session in await store.sessions.of_user(user.id)]


async def test_a_member_is_found_with_his_client_and_his_session(store: Store, acme: Client, ann: User) -> None:
    session = a_session(ann)
    await add(store, session, digest=b"digest")

    visitor = await store.sessions.visitor(b"digest")

    assert visitor
    assert visitor.client == acme
    assert visitor.session == session
    assert visitor.user == msgspec.structs.replace(ann, last_sign_in_at=NOW)
    for other in (b"", b"diges", b"digest\x00", session.id.encode()):
        assert await store.sessions.visitor(other) is None


async def test_an_admin_is_of_no_client(store: Store, olga: User) -> None:
    await add(store, a_session(olga), digest=b"digest")

    visitor = await store.sessions.visitor(b"digest")

    assert visitor
    assert visitor.client is None
    assert visitor.user.is_admin


async def test_while_the_client_is_disabled_nobody_of_it_is_signed_in(
    store: Store, acme: Client, ann: User, olga: User
) -> None:
    await add(store, a_session(ann), digest=b"ann")
    await add(store, a_session(olga, "two"), digest=b"olga")

    await store.clients.disable(acme.id, at=NOW)
    assert await store.sessions.visitor(b"ann") is None
    assert await store.sessions.visitor(b"olga")

    await store.clients.enable(acme.id)
    assert await store.sessions.visitor(b"ann")


async def test_sessions_of_a_user_come_last_seen_first(store: Store, ann: User, olga: User) -> None:
    for name in ("one", "two", "three"):
        await add(store, a_session(ann, name))
    await add(store, a_session(olga, "four"))
    await store.sessions.touch(ann.id, "session_two", LATER)

    assert await ids_of(store, ann) == ["session_two", "session_three", "session_one"]
    assert (await store.sessions.of_user(ann.id))[0].last_seen_at == LATER


async def test_a_session_is_ended_by_its_own_user_only(store: Store, ann: User, olga: User) -> None:
    for name in ("one", "two"):
        await add(store, a_session(ann, name))
    await add(store, a_session(olga, "three"))

    await store.sessions.remove(ann.id, "session_three")
    await store.sessions.remove(ann.id, "session_one")
    assert await ids_of(store, ann) == ["session_two"]
    assert await ids_of(store, olga) == ["session_three"]

    await store.sessions.touch(ann.id, "session_three", LATER)
    assert (await store.sessions.of_user(olga.id))[0].last_seen_at == NOW

    await store.sessions.remove_all(ann.id)
    assert await ids_of(store, ann) == []
    assert await ids_of(store, olga) == ["session_three"]


async def test_a_sign_in_sweeps_what_was_not_seen_for_long(store: Store, ann: User, olga: User) -> None:
    await add(store, a_session(ann, "old", at="2026-02-28T00:00:00.000Z"))
    await add(store, a_session(ann, "recent"))

    await add(store, a_session(olga, "new"))

    assert await ids_of(store, ann) == ["session_recent"]


async def test_nobody_signs_in_with_a_password_that_was_changed_meanwhile(store: Store, ann: User) -> None:
    await store.links.put(Link(b"link", "password", ann.id, LATER))
    await store.links.set_password(ann.id, password_hash="new", link=b"link", entry=an_entry())

    assert not await add(store, a_session(ann, "one"), password_hash="old")
    assert await ids_of(store, ann) == []
    assert (await store.users.by_id(ann.id)).last_sign_in_at is None

    assert await add(store, a_session(ann, "two"), password_hash="new")
    assert await ids_of(store, ann) == ["session_two"]


async def test_without_a_password_no_password_signs_in(store: Store, ann: User) -> None:
    assert not await add(store, a_session(ann), password_hash="hash")
    assert await add(store, a_session(ann))


async def test_a_removed_user_does_not_sign_in(store: Store, ann: User) -> None:
    await store.users.remove(ann.id, entry=an_entry())

    assert not await add(store, a_session(ann))
    assert len(await store.activity.all(limit=10)) == 2


async def test_a_digest_is_one_sessions(store: Store, ann: User) -> None:
    await add(store, a_session(ann, "one"), digest=b"same")

    with pytest.raises(Exception, match=r"sessions\.digest"):
        await add(store, a_session(ann, "two"), digest=b"same")

    assert await ids_of(store, ann) == ["session_one"]


async def test_a_user_has_so_many_sessions_and_the_least_seen_ends(
    store: Store, ann: User, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.tables.sessions.MOST_SESSIONS", 2)
    await add(store, a_session(olga, "hers"))
    for name in ("one", "two"):
        await add(store, a_session(ann, name))
    await store.sessions.touch(ann.id, "session_one", LATER)

    await add(store, a_session(ann, "three", at=LATER))

    assert await ids_of(store, ann) == ["session_three", "session_one"]
    assert await ids_of(store, olga) == ["session_hers"]
