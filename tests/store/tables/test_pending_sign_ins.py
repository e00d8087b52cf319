"""Sign-ins that wait for a code, and the second factor that they need: what one statement decides."""

import pytest

from gateway.models import Client, User
from gateway.store import RecoveryCode, Store, TimeCode
from tests.store.tables.records import NOW, TOMORROW, a_member, actions, an_entry, sign_in

SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
LATER = "2026-04-01T03:05:00.000Z"


@pytest.fixture
async def ann(store: Store, acme: Client) -> User:
    """With a second factor and one recovery code."""
    user = await a_member(store, acme, password_hash="hash")
    await sign_in(store, user)
    await store.second_factors.set_up(user.id, SECRET)
    code = TimeCode(SECRET, 7)
    entry = an_entry("user.second-factor-on")
    assert await store.second_factors.switch_on(user.id, code, [b"one"], staying="session_", at=NOW, entry=entry)
    return user


async def add(store: Store, user: User, digest: bytes = b"pending") -> bool:
    return await store.pending_sign_ins.add(user, digest, password_hash="hash", now=NOW, expires_at=LATER)


async def count(store: Store) -> int:
    (row,) = await store.database.fetch_all("SELECT count(*) AS number FROM pending_sign_ins")
    return int(row["number"])


async def test_one_waits_for_its_user_until_it_ends(store: Store, ann: User) -> None:
    assert await add(store, ann)

    waiting = await store.pending_sign_ins.user_of(b"pending", now=NOW)
    assert waiting
    assert (waiting.id, waiting.has_second_factor) == (ann.id, True)
    assert await store.pending_sign_ins.user_of(b"pending", now=LATER) is None
    assert await store.pending_sign_ins.user_of(b"other", now=NOW) is None


async def test_none_waits_with_a_password_that_was_changed_meanwhile(store: Store, ann: User) -> None:
    assert not await store.pending_sign_ins.add(ann, b"late", password_hash="former", now=NOW, expires_at=LATER)
    assert await count(store) == 0


async def test_those_that_ended_are_forgotten_with_the_next(store: Store, ann: User) -> None:
    await add(store, ann, b"old")
    await store.pending_sign_ins.add(ann, b"new", password_hash="hash", now=LATER, expires_at=TOMORROW)

    assert await count(store) == 1


async def test_a_proof_is_good_once_and_ends_what_waits(store: Store, ann: User) -> None:
    await add(store, ann)
    for proof in (None, TimeCode(SECRET, 7), TimeCode("another", 8), RecoveryCode(b"two", an_entry())):
        assert await store.pending_sign_ins.complete(b"pending", proof, now=NOW) is None

    done = await store.pending_sign_ins.complete(b"pending", TimeCode(SECRET, 8), now=NOW)

    assert done
    assert (done.user.id, done.password_hash, done.disabled_client) == (ann.id, "hash", None)
    assert await store.pending_sign_ins.complete(b"pending", TimeCode(SECRET, 9), now=NOW) is None
    assert await count(store) == 0


async def test_after_five_tries_no_proof_is_good(store: Store, ann: User) -> None:
    await add(store, ann)
    for _ in range(5):
        await store.pending_sign_ins.complete(b"pending", None, now=NOW)

    assert await store.pending_sign_ins.complete(b"pending", TimeCode(SECRET, 8), now=NOW) is None
    await add(store, ann, b"next")
    assert await store.pending_sign_ins.complete(b"next", TimeCode(SECRET, 8), now=NOW)


async def test_the_use_of_a_recovery_code_is_told(store: Store, ann: User) -> None:
    await add(store, ann)

    entry = an_entry("user.recovery-code")
    assert await store.pending_sign_ins.complete(b"pending", RecoveryCode(b"one", entry), now=NOW)

    assert (await actions(store))[-1] == "user.recovery-code"
    assert await store.second_factors.count_recovery_codes(ann.id) == 0


async def test_no_session_begins_without_a_proof(store: Store, ann: User) -> None:
    with pytest.raises(AssertionError):
        await sign_in(store, ann)

    assert await store.sessions.of_user(ann.id) == []


async def test_a_removed_user_leaves_nothing_of_it(store: Store, ann: User) -> None:
    await add(store, ann)

    await store.users.remove(ann.id, entry=an_entry())

    assert await count(store) == 0
    assert await store.database.fetch_all("SELECT * FROM recovery_codes") == []
