"""API keys: made, rotated, revoked, ended."""

import asyncio

import pytest

from gateway.auth.keys import works
from gateway.errors import InvalidInput, UnknownRecord
from gateway.provisioning.keys import NewKey
from tests.provisioning.support import DAY, NOW, log, status_with
from tests.support import World, bearer

MOST = 20
"""Of the shipped settings."""


async def test_a_keys_text_is_in_no_representation_of_it(world: World) -> None:
    key = await world.client_with_key()

    assert key.text not in repr(key)
    assert key.text not in repr(key.record)
    assert key.text[9:] not in repr(key)


async def test_both_keys_of_a_rotation_work_until_the_overlap_is_over(world: World) -> None:
    old = await world.client_with_key()

    new = await world.services.keys.rotate(old.record.id, overlap="24h")

    world.clock.advance(DAY - 1)
    assert [await status_with(world, key) for key in (old, new)] == [200, 200]
    world.clock.advance(1)
    assert [await status_with(world, key) for key in (old, new)] == [401, 200]


async def test_a_rotation_without_overlap_ends_the_old_key_at_once(world: World) -> None:
    old = await world.client_with_key()
    assert await status_with(world, old) == 200

    new = await world.services.keys.rotate(old.record.id, overlap="0s")

    assert [await status_with(world, key) for key in (old, new)] == [401, 200]


@pytest.mark.parametrize(
    ("expires", "rotated_after", "overlap", "old_ends", "new_ends"),
    [
        (None, 10, "24h", "2026-04-12T03:00:00.000Z", None),
        ("90d", 0, "24h", "2026-04-02T03:00:00.000Z", "2026-06-30T03:00:00.000Z"),
        ("90d", 80, "24h", "2026-06-21T03:00:00.000Z", "2026-09-18T03:00:00.000Z"),
        ("90d", 89, "7d", "2026-06-30T03:00:00.000Z", "2026-09-27T03:00:00.000Z"),
        ("1d", 0, "0s", "2026-04-01T03:00:00.000Z", "2026-04-02T03:00:00.000Z"),
    ],
    ids=["never", "at once", "late", "the old end comes first", "no overlap"],
)
async def test_the_lives_of_a_rotated_key_and_its_successor(
    world: World, expires: str | None, rotated_after: int, overlap: str, old_ends: str, new_ends: str | None
) -> None:
    old = await world.client_with_key(expires=expires)
    world.clock.advance(rotated_after * DAY)

    new = await world.services.keys.rotate(old.record.id, overlap=overlap)

    assert (await world.services.store.api_keys.any_by_id(old.record.id)).expires_at == old_ends
    assert new.record.expires_at == new_ends
    assert await world.services.store.api_keys.any_by_id(new.record.id) == new.record


async def test_a_successor_has_the_old_keys_name_scope_and_rate(world: World) -> None:
    old = await world.client_with_key(scope="read", rate="600/60")

    new = await world.services.keys.rotate(old.record.id, overlap="24h")

    assert (new.record.name, new.record.scope, new.record.rate) == ("test", "read", old.record.rate)
    assert new.record.id != old.record.id
    assert new.text != old.text


@pytest.mark.parametrize("ending", ["revoked", "expired"])
async def test_a_key_that_is_over_has_no_successor(world: World, ending: str) -> None:
    old = await world.client_with_key(expires="1d")
    if ending == "revoked":
        await world.services.keys.revoke(old.record.id)
    else:
        world.clock.advance(DAY)

    with pytest.raises(InvalidInput, match="revoked or expired"):
        await world.services.keys.rotate(old.record.id, overlap="24h")

    assert len(await world.services.store.api_keys.all()) == 1


async def test_a_refused_overlap_leaves_no_successor_behind(world: World) -> None:
    old = await world.client_with_key()

    with pytest.raises(InvalidInput):
        await world.services.keys.rotate(old.record.id, overlap="soon")

    assert await world.services.store.api_keys.all() == [old.record]


async def test_a_revoked_key_is_refused_on_the_next_request_and_keeps_its_time(world: World) -> None:
    key = await world.client_with_key()
    assert await status_with(world, key) == 200

    revoked = await world.services.keys.revoke(key.record.id)
    world.clock.advance(60)
    again = await world.services.keys.revoke(key.record.id)

    assert await status_with(world, key) == 401
    assert revoked.revoked_at == again.revoked_at == "2026-04-01T03:00:00.000Z"


async def test_a_key_ends_at_its_moment(world: World) -> None:
    key = await world.client_with_key(expires="90d")

    world.clock.advance(90 * DAY - 1)
    assert await status_with(world, key) == 200
    world.clock.advance(1)
    assert await status_with(world, key) == 401


async def test_a_slug_given_to_another_client_makes_no_key_of_the_other(world: World) -> None:
    first = await world.services.clients.add(slug="again", name="First", plan="free")
    await world.services.clients.remove("again")
    second = await world.services.clients.add(slug="again", name="Second", plan="free")

    with pytest.raises(UnknownRecord, match="removed"):
        await world.services.keys.create(
            "again", name="late", scope="full", expires=None, rate=None, client_id=first.id
        )

    assert await world.services.store.api_keys.of_client(second.id) == []


async def test_a_key_of_another_client_is_as_unknown_as_none(world: World) -> None:
    mine = await world.client_with_key("acme")
    theirs = await world.client_with_key("globex")
    client_id = mine.record.client_id
    refusals = set()

    for key_id in (theirs.record.id, "key_0000000000000000"):
        with pytest.raises(UnknownRecord) as rotation:
            await world.services.keys.rotate(key_id, overlap="24h", client_id=client_id)
        with pytest.raises(UnknownRecord) as revocation:
            await world.services.keys.revoke(key_id, client_id=client_id)
        refusals |= {str(refusal.value).replace(key_id, "key") for refusal in (rotation, revocation)}

    assert len(refusals) == 1
    assert await status_with(world, theirs) == 200
    assert await world.services.store.api_keys.any_by_id(theirs.record.id) == theirs.record
    assert {entry.action for entry in await log(world)} == {"client.create", "key.create"}


async def test_a_client_rotates_and_revokes_its_own_keys(world: World) -> None:
    old = await world.client_with_key()
    client_id = old.record.client_id

    new = await world.services.keys.rotate(old.record.id, overlap="24h", client_id=client_id)
    revoked = await world.services.keys.revoke(old.record.id, client_id=client_id)

    assert revoked.revoked_at == NOW
    assert [await status_with(world, key) for key in (old, new)] == [401, 200]


async def make_keys(world: World, count: int) -> list[NewKey]:
    return [await world.key() for _ in range(count)]


async def working(world: World) -> int:
    return sum(works(key, world.clock.now()) for key in await world.services.store.api_keys.all())


async def test_simultaneous_creations_make_as_many_keys_as_may_work(world: World) -> None:
    await world.client_with_key()

    made = await asyncio.gather(*(world.key() for _ in range(100)), return_exceptions=True)

    assert await working(world) == MOST
    assert [type(each) for each in made if not isinstance(each, NewKey)] == [InvalidInput] * (101 - MOST)


async def test_simultaneous_rotations_with_an_overlap_leave_as_many_keys_as_may_work(world: World) -> None:
    await world.services.clients.add(slug="acme", name="Acme", plan="free")
    old = await make_keys(world, MOST - 3)
    rotate = world.services.keys.rotate

    await asyncio.gather(*(rotate(key.record.id, overlap="24h") for key in old), return_exceptions=True)

    assert await working(world) == MOST


async def test_at_the_most_a_key_is_rotated_at_once_only(world: World) -> None:
    await world.services.clients.add(slug="acme", name="Acme", plan="free")
    first, *_ = await make_keys(world, MOST)

    with pytest.raises(InvalidInput, match=f"there are {MOST} working keys already, and {MOST} is the most"):
        await world.services.keys.rotate(first.record.id, overlap="1h")
    assert await status_with(world, first) == 200
    await world.services.keys.rotate(first.record.id, overlap="0s")

    assert await working(world) == MOST


@pytest.mark.parametrize("ending", ["revoked", "expired"])
async def test_a_key_that_ended_makes_room_for_another(world: World, ending: str) -> None:
    key = await world.client_with_key(expires="1d")
    await make_keys(world, MOST - 1)
    if ending == "revoked":
        await world.services.keys.revoke(key.record.id)
    else:
        world.clock.advance(DAY)

    await world.key()

    assert await working(world) == MOST


async def test_a_client_has_a_figure_of_its_own_and_keeps_the_keys_it_has_beyond_it(world: World) -> None:
    first = await world.client_with_key()
    other = await world.client_with_key("globex")
    await allow(world, "25")
    await make_keys(world, 24)
    with pytest.raises(InvalidInput, match="there are 25 working keys already, and 25 is the most"):
        await world.key()

    await allow(world, None)

    with pytest.raises(InvalidInput, match=f"there are 25 working keys already, and {MOST} is the most"):
        await world.key()
    assert await working(world) == 26
    assert [await status_with(world, key) for key in (first, other)] == [200, 200]
    await world.key("globex")


@pytest.mark.parametrize("text", ["0", "-1", "many", "1000000", "1.5"])
async def test_how_many_keys_may_work_is_a_number(world: World, text: str) -> None:
    await world.client_with_key()

    with pytest.raises(InvalidInput, match="from 1 to 999999"):
        await allow(world, text)


async def allow(world: World, most_keys: str | None) -> None:
    await world.services.clients.update(
        "acme", name="Acme", plan="free", rate=None, rate_total=None, most_keys=most_keys
    )


async def test_a_key_that_is_rotated_in_a_loop_calls_no_more_often_than_one(world: World) -> None:
    """20 at once and one each three seconds: 26 in 20 seconds."""
    key = await world.client_with_key(rate="20/60")
    answered = 0
    for _ in range(100):
        for _ in range(3):
            answered += await status_with(world, key) == 200
        key = await world.services.keys.rotate(key.record.id, overlap="0s")
        world.clock.advance(0.2)

    assert answered == 26


async def test_both_keys_of_a_rotation_share_their_tokens(world: World) -> None:
    old = await world.client_with_key(rate="3/60")
    new = await world.services.keys.rotate(old.record.id, overlap="24h")
    newest = await world.services.keys.rotate(new.record.id, overlap="24h")

    assert [await status_with(world, key) for key in (old, new, newest, old)] == [200, 200, 200, 429]


async def test_keys_made_and_revoked_in_a_loop_call_no_more_than_the_most_keys_may(world: World) -> None:
    await world.services.clients.add(slug="acme", name="Acme", plan="free")
    await world.services.clients.update("acme", name="Acme", plan="free", rate="1/60", rate_total=None, most_keys="3")
    answered = 0
    for _ in range(30):
        for _ in range(5):
            key = await world.key()
            answered += await status_with(world, key) == 200
            await world.services.keys.revoke(key.record.id)
        world.clock.advance(60)

    assert answered == 30 * 3


async def test_what_its_keys_do_together_is_bounded_by_the_client_s_own_rate(world: World) -> None:
    keys = [await world.client_with_key(), await world.key(), await world.client_with_key("globex")]
    await world.services.clients.update("acme", name="Acme", plan="free", rate=None, rate_total="3/60", most_keys=None)
    answers = [await world.http.get("/api/v1/status", headers=bearer(keys[number % 2])) for number in range(5)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].json() == {"error": "Rate limit exceeded — 3 requests per minute per client"}
    assert answers[-1].headers["Retry-After"] == "20"
    assert answers[-1].headers["RateLimit-Policy"] == '"default";q=100;w=60, "client";q=3;w=60'
    assert answers[-1].headers["RateLimit"] == '"default";r=98;t=1, "client";r=0;t=20'
    assert await status_with(world, keys[2]) == 200
    world.clock.advance(20)
    assert await status_with(world, keys[0]) == 200


async def test_a_client_with_more_keys_than_it_may_have_uses_each_of_them_fully(world: World) -> None:
    await world.services.clients.add(slug="acme", name="Acme", plan="free")
    keys = [await world.key(rate="2/60") for _ in range(5)]
    await world.services.clients.update("acme", name="Acme", plan="free", rate="1/60", rate_total=None, most_keys="1")

    assert [await status_with(world, key) for key in keys * 3] == [200] * 10 + [429] * 5
