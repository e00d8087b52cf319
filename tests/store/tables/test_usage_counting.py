"""How keys are used, through the whole application: what counts for whom, and whence a key was last used."""

from pathlib import Path

import pytest

from gateway.models import HourUsage, KeyUsage
from gateway.provisioning.keys import NewKey
from tests.support import NEVER_OURS, World, bearer, running_gateway, store_at

EVER = ""
ACME = 1


async def get(world: World, key: NewKey, path: str = "/status", **headers: str) -> int:
    return (await world.http.get(f"/api/v1{path}", headers={**bearer(key), **headers})).status_code


async def usage(world: World, client_id: int = ACME) -> dict[str, tuple[int, int, int]]:
    """Calls, limited and errors by key id."""
    await world.services.store.usage.flush()
    return {each.key_id: (each.calls, each.limited, each.errors) for each in await usage_of(world, client_id)}


async def usage_of(world: World, client_id: int) -> list[KeyUsage]:
    return await world.services.store.usage.of_client(client_id, EVER)


async def test_each_answer_counts_once_for_the_key_that_asked(world: World) -> None:
    busy = await world.client_with_key(rate="5/60")
    idle = await world.key()
    unused = await world.key()
    paths = ["/status", "/connections", f"/connections/{NEVER_OURS}/jobs", "/nothing", "/status", "/status", "/status"]

    statuses = [await get(world, busy, path) for path in paths]
    await get(world, idle)

    assert statuses == [200, 200, 404, 404, 200, 429, 429]
    counted = await usage(world)
    assert counted == {busy.record.id: (7, 2, 2), idle.record.id: (1, 0, 0)}
    assert unused.record.id not in counted


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic YTpi"}, {"Authorization": f"Bearer smrt_{'0' * 36}"}])
async def test_whoever_is_nobody_counts_for_nobody(world: World, headers: dict[str, str]) -> None:
    await world.client_with_key()

    answer = await world.http.get("/api/v1/status", headers=headers)

    assert answer.status_code == 401
    assert await usage(world) == {}


async def test_a_key_that_is_refused_counts_no_more(world: World) -> None:
    key = await world.client_with_key()
    await get(world, key)
    await world.services.keys.revoke(key.record.id)

    assert await get(world, key) == 401
    assert await usage(world) == {key.record.id: (1, 0, 0)}


async def test_what_is_asked_without_a_key_counts_for_nobody(world: World) -> None:
    key = await world.client_with_key()

    await world.http.get("/healthz", headers=bearer(key))

    assert await usage(world) == {}


async def test_a_failing_airbyte_is_an_error_of_the_call(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    world.sandbox.faults.token_endpoint_down = True
    world.clock.advance(7200)

    assert await get(world, key, f"/connections/{ours}/jobs") == 502
    assert await usage(world) == {key.record.id: (1, 0, 1)}


async def test_a_call_counts_in_the_hour_of_the_clock(world: World) -> None:
    key = await world.client_with_key()
    for seconds, path in ((0, "/status"), (3599, "/nothing"), (1, "/nothing")):
        world.clock.advance(seconds)
        await get(world, key, path)
    await world.services.store.usage.flush()

    assert await world.services.store.usage.hours(ACME, EVER) == [
        HourUsage("2026-04-01T03:00:00.000Z", 2, 0, 1),
        HourUsage("2026-04-01T04:00:00.000Z", 1, 0, 1),
    ]


async def test_no_client_sees_another_s_calls(world: World) -> None:
    mine, theirs = await world.client_with_key("acme"), await world.client_with_key("globex")
    await get(world, mine)
    await get(world, theirs)

    assert await usage(world, ACME) == {mine.record.id: (1, 0, 0)}


async def test_a_client_that_is_removed_before_the_flush_hinders_nobody(world: World) -> None:
    removed, key = await world.client_with_key("globex"), await world.client_with_key("acme")
    for each in (removed, key):
        await get(world, each)
    await world.services.clients.remove("globex")

    assert await usage(world, client_id=2) == {key.record.id: (1, 0, 0)}
    assert await usage(world, client_id=1) == {}


async def test_when_and_whence_a_key_was_last_used_is_written_with_the_next_flush(world: World) -> None:
    key = await world.client_with_key()
    await get(world, key, **{"User-Agent": "first/1"})
    world.clock.advance(90)
    await get(world, key, **{"User-Agent": "second/2"})
    await world.services.store.usage.flush()

    record = await world.services.store.api_keys.any_by_id(key.record.id)
    assert record.last_used_at == "2026-04-01T03:01:30.000Z"
    assert (record.last_used_address, record.last_used_agent) == ("127.0.0.1", "first/1")

    await get(world, key, **{"User-Agent": "third/3"})
    await world.services.store.usage.flush()
    assert (await world.services.store.api_keys.any_by_id(key.record.id)).last_used_agent == "third/3"


async def test_what_was_counted_is_written_when_the_gateway_stops(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as world:
        key = await world.client_with_key()
        await get(world, key)

    async with store_at(world.services.settings.database_path) as store:
        assert await store.usage.of_client(ACME, EVER) == [KeyUsage(key.record.id, 1, 0, 0)]
