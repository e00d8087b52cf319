"""Calls to Airbyte at once: the cap holds for all gateways together, whoever dies, stalls or is cancelled."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic

import pytest

from gateway.airbyte import Kind
from gateway.cluster.scripts import TAKE_PLACE
from gateway.cluster.shared_bulkhead import HOLD_SECONDS, KIND_KEYS, SharedBulkhead
from gateway.cluster.valkey import Valkey
from gateway.errors import UpstreamBusy
from tests.cluster.conftest import reached
from tests.support import BOUND_SECONDS
from tests.valkey import ValkeyServer, operator

SIZE = 4


def fair(gateways: int, rank: int) -> Callable[[int], int]:
    return lambda places: places // gateways + (rank < places % gateways)


@asynccontextmanager
async def lane_of(valkey: Valkey, share: Callable[[int], int] = lambda places: places) -> AsyncIterator[SharedBulkhead]:
    bulkhead = SharedBulkhead(SIZE, valkey, share=share, may_trigger=lambda: True, monotonic=monotonic)
    try:
        yield bulkhead
    finally:
        await bulkhead.close()


@asynccontextmanager
async def three_lanes(server: ValkeyServer) -> AsyncIterator[list[SharedBulkhead]]:
    async with AsyncExitStack() as stack:
        valkeys = [await stack.enter_async_context(reached(server)) for _ in range(3)]
        yield [await stack.enter_async_context(lane_of(valkeys[rank], fair(3, rank))) for rank in range(3)]


class Calls:
    """Counts who is inside, in all gateways together."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self.busy = 0
        self.done = 0

    async def one(self, bulkhead: SharedBulkhead, caller: str, kind: Kind = "read", seconds: float = 0.01) -> None:
        try:
            async with bulkhead.permit(kind, caller):
                self.inside += 1
                self.most = max(self.most, self.inside)
                await asyncio.sleep(seconds)
                self.inside -= 1
        except UpstreamBusy:
            self.busy += 1
        else:
            self.done += 1


def held(server: ValkeyServer) -> int:
    with operator(server) as redis:
        return sum(redis.zcard(key) for key in KIND_KEYS.values())


async def until_given_back(server: ValkeyServer) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        while held(server):
            await asyncio.sleep(0.01)


async def test_the_cap_holds_for_all_gateways_together(server: ValkeyServer) -> None:
    calls = Calls()
    async with three_lanes(server) as bulkheads:
        await asyncio.gather(
            *(
                calls.one(bulkhead, f"caller {number}", kind)
                for bulkhead in bulkheads
                for number in range(10)
                for kind in ("read", "trigger")
            )
        )
        await until_given_back(server)

    assert calls.most == SIZE
    assert calls.done >= SIZE
    assert calls.done + calls.busy == 60


async def test_neither_kind_takes_all_places_of_the_fleet(server: ValkeyServer) -> None:
    async with three_lanes(server) as bulkheads, AsyncExitStack() as stack:
        for bulkhead, caller in ((bulkheads[0], "a"), (bulkheads[1], "b"), (bulkheads[2], "c")):
            await stack.enter_async_context(bulkhead.permit("read", caller))
        with pytest.raises(UpstreamBusy):
            await stack.enter_async_context(bulkheads[0].permit("read", "d"))
        await stack.enter_async_context(bulkheads[0].permit("trigger", "d"))
        assert held(server) == SIZE


async def test_who_is_cancelled_while_waiting_leaves_nothing_behind(server: ValkeyServer) -> None:
    calls = Calls()
    async with three_lanes(server) as bulkheads:
        waiting = [
            asyncio.create_task(calls.one(bulkhead, f"c{n}", seconds=5)) for bulkhead in bulkheads for n in range(6)
        ]
        while calls.inside < 3:
            await asyncio.sleep(0.005)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await until_given_back(server)
        assert sum(bulkhead.in_flight for bulkhead in bulkheads) == 0


async def test_the_places_of_a_killed_gateway_are_free_again(server: ValkeyServer, valkey: Valkey) -> None:
    """Its word is HOLD_SECONDS old at the end; here it was given for a fraction of that."""
    keys = tuple(KIND_KEYS.values())
    for number in range(3):
        assert await valkey.run(TAKE_PLACE, keys, (SIZE, SIZE - 1, 0.3, f"dead {number}")) == 1
    async with lane_of(valkey) as bulkhead, asyncio.timeout(BOUND_SECONDS), bulkhead.permit("read", "a"):
        assert bulkhead.in_flight == 1


async def test_a_place_is_kept_as_long_as_the_call_lasts(
    server: ValkeyServer, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.cluster.shared_bulkhead.KEEP_SECONDS", 0.02)
    async with lane_of(valkey) as bulkhead, bulkhead.permit("read", "a"):
        with operator(server) as redis:
            (holder,) = redis.zrange(KIND_KEYS["read"], 0, -1)
            first = redis.zscore(KIND_KEYS["read"], str(holder))
            async with asyncio.timeout(BOUND_SECONDS):
                while redis.zscore(KIND_KEYS["read"], str(holder)) == first:
                    await asyncio.sleep(0.01)
            assert redis.pttl(KIND_KEYS["read"]) > (HOLD_SECONDS - 3) * 1000


async def test_while_the_server_is_away_each_gateway_has_its_share(server: ValkeyServer) -> None:
    calls = Calls()
    async with three_lanes(server) as bulkheads:
        server.kill()
        await asyncio.gather(*(calls.one(bulkhead, f"c{n}", seconds=0.05) for bulkhead in bulkheads for n in range(8)))

    assert calls.most == SIZE
    assert calls.done >= SIZE


async def test_places_that_come_free_while_the_server_is_away_are_free_when_it_is_back(
    server: ValkeyServer, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.cluster.shared_bulkhead.HOLD_SECONDS", 10 * BOUND_SECONDS)
    async with lane_of(valkey) as bulkhead:
        async with bulkhead.permit("read", "a"), bulkhead.permit("read", "b"):
            assert held(server) == 2
            server.pause()
        async with asyncio.timeout(BOUND_SECONDS):
            while not valkey.is_away:
                await asyncio.sleep(0.01)
        server.resume()
        await until_given_back(server)


async def test_a_gateway_without_a_share_is_busy_at_once(server: ValkeyServer, valkey: Valkey) -> None:
    server.kill()
    async with lane_of(valkey, fair(8, 7)) as bulkhead:
        with pytest.raises(UpstreamBusy, match="busy"):
            async with bulkhead.permit("read", "a"):
                pytest.fail("had a place")
        assert bulkhead.in_flight == 0


async def test_who_may_be_taken_for_dead_triggers_nothing_and_holds_no_place(
    server: ValkeyServer, valkey: Valkey
) -> None:
    bulkhead = SharedBulkhead(SIZE, valkey, share=lambda places: places, may_trigger=lambda: False, monotonic=monotonic)
    with pytest.raises(UpstreamBusy, match="busy"):
        async with bulkhead.permit("trigger", "acme"):
            pytest.fail("may trigger")
    async with bulkhead.permit("read", "acme"):
        pass

    await until_given_back(server)
    assert bulkhead.in_flight == 0
    await bulkhead.close()


async def test_a_restarted_server_learns_what_is_held(
    server: ValkeyServer, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.cluster.shared_bulkhead.KEEP_SECONDS", 0.02)
    async with lane_of(valkey) as bulkhead, bulkhead.permit("read", "a"):
        server.kill()
        server.start()
        async with asyncio.timeout(BOUND_SECONDS):
            while not held(server):
                await asyncio.sleep(0.01)
    await until_given_back(server)
