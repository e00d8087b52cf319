"""Calls to Airbyte at once: the cap holds for all gateways together, whoever dies, stalls or is cancelled."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic
from typing import Any

import pytest

from gateway.airbyte import Caller, Deadlines, Kind, OwnCalls
from gateway.background import Background
from gateway.cluster.scripts import ACQUIRE_PERMIT
from gateway.cluster.shared_bulkhead import KIND_KEYS, SharedBulkhead
from gateway.cluster.timings import PermitTimings
from gateway.cluster.valkey import Valkey
from gateway.errors import UpstreamBusy
from gateway.telemetry.log import log_task_failure
from tests.cluster.conftest import reached
from tests.support import BOUND_SECONDS
from tests.valkey import ValkeyServer, operator

SIZE = 4
LONG_ENOUGH = 3.0
"""For a permit that is free, on a machine that stands still meanwhile; those who get none wait for as long."""


def fair(gateways: int, rank: int) -> Callable[[int], int]:
    return lambda permits: permits // gateways + (rank < permits % gateways)


@asynccontextmanager
async def bulkhead_on(
    valkey: Valkey,
    share: Callable[[int], int] = lambda permits: permits,
    *,
    may_trigger: bool = True,
    timings: PermitTimings | None = None,
    size: int = SIZE,
    wait_seconds: float = Deadlines().permit,
) -> AsyncIterator[SharedBulkhead]:
    bulkhead = SharedBulkhead(
        size,
        valkey,
        share=share,
        may_trigger=lambda: may_trigger,
        monotonic=monotonic,
        wait_seconds=wait_seconds,
        background=Background(log_task_failure),
        timings=timings,
    )
    bulkhead.open()
    try:
        yield bulkhead
    finally:
        await bulkhead.close()


@asynccontextmanager
async def three_bulkheads(server: ValkeyServer, **options: Any) -> AsyncIterator[list[SharedBulkhead]]:
    async with AsyncExitStack() as stack:
        valkeys = [await stack.enter_async_context(reached(server)) for _ in range(3)]
        yield [
            await stack.enter_async_context(bulkhead_on(valkeys[rank], fair(3, rank), **options)) for rank in range(3)
        ]


class Calls:
    """Counts who is inside, in all gateways together."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self.busy = 0
        self.done = 0

    async def one(self, bulkhead: SharedBulkhead, caller: int, kind: Kind = "read", seconds: float = 0.01) -> None:
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
    await until_held(server, 0)


async def until_held(server: ValkeyServer, count: int) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        while held(server) != count:
            await asyncio.sleep(0.01)


async def test_the_cap_holds_for_all_gateways_together(server: ValkeyServer) -> None:
    calls = Calls()
    async with three_bulkheads(server) as bulkheads:
        await asyncio.gather(
            *(
                calls.one(bulkhead, number, kind)
                for bulkhead in bulkheads
                for number in range(10)
                for kind in ("read", "trigger")
            )
        )
        await until_given_back(server)

    assert calls.most == SIZE
    assert calls.done >= SIZE
    assert calls.done + calls.busy == 60


async def test_neither_kind_takes_all_permits_of_the_cluster(server: ValkeyServer) -> None:
    async with three_bulkheads(server) as bulkheads, AsyncExitStack() as stack:
        for bulkhead, caller in ((bulkheads[0], 1), (bulkheads[1], 2), (bulkheads[2], 3)):
            await stack.enter_async_context(bulkhead.permit("read", caller))
        with pytest.raises(UpstreamBusy):
            await stack.enter_async_context(bulkheads[0].permit("read", 4))
        await stack.enter_async_context(bulkheads[0].permit("trigger", 4))
        assert held(server) == SIZE


async def test_one_caller_takes_half_of_the_permits_however_many_gateways_it_calls(server: ValkeyServer) -> None:
    async with three_bulkheads(server) as bulkheads, AsyncExitStack() as stack:
        await stack.enter_async_context(bulkheads[0].permit("read", 1))
        await stack.enter_async_context(bulkheads[1].permit("trigger", 1))
        with pytest.raises(UpstreamBusy):
            await stack.enter_async_context(bulkheads[2].permit("read", 1))
        with pytest.raises(UpstreamBusy):
            await stack.enter_async_context(bulkheads[0].permit("trigger", 1))
        # Another id that ends or begins like it is another caller.
        await stack.enter_async_context(bulkheads[2].permit("read", 21))
        await stack.enter_async_context(bulkheads[2].permit("trigger", 12))
        assert held(server) == SIZE


async def are_refused(*calls: tuple[SharedBulkhead, Kind, Caller]) -> bool:
    """Return whether none of these gets a permit."""
    ends = await asyncio.gather(*(_hold(*call) for call in calls), return_exceptions=True)
    return all(isinstance(end, UpstreamBusy) for end in ends)


async def _hold(bulkhead: SharedBulkhead, kind: Kind, caller: Caller) -> None:
    async with bulkhead.permit(kind, caller):
        pass


async def test_slow_triggers_leave_two_permits_of_the_cluster_and_are_not_all_one_clients(
    server: ValkeyServer,
) -> None:
    async with three_bulkheads(server, wait_seconds=LONG_ENOUGH) as bulkheads, AsyncExitStack() as stack:
        await stack.enter_async_context(bulkheads[0].permit("trigger", 1))
        assert await are_refused((bulkheads[1], "trigger", 1), (bulkheads[2], "trigger", 1))
        await stack.enter_async_context(bulkheads[1].permit("trigger", 2))
        assert await are_refused((bulkheads[2], "trigger", 3))

        await stack.enter_async_context(bulkheads[2].permit("read", 3))
        await stack.enter_async_context(bulkheads[2].permit("read", OwnCalls.ROUTINE))
        assert held(server) == SIZE


async def test_of_five_permits_the_reads_of_all_clients_leave_one_to_the_gateways_own_calls(
    server: ValkeyServer,
) -> None:
    async with three_bulkheads(server, size=5, wait_seconds=LONG_ENOUGH) as bulkheads, AsyncExitStack() as stack:
        for number, bulkhead in enumerate(bulkheads, 1):
            await stack.enter_async_context(bulkhead.permit("read", number))
        assert await are_refused(*((bulkhead, "read", 4) for bulkhead in bulkheads))

        await stack.enter_async_context(bulkheads[0].permit("read", OwnCalls.ROUTINE))
        await stack.enter_async_context(bulkheads[0].permit("trigger", 4))
        assert held(server) == 5


async def test_one_caller_takes_half_of_the_shares_while_the_server_is_unavailable(server: ValkeyServer) -> None:
    async with reached(server) as one, reached(server) as two:
        server.kill()
        async with (
            bulkhead_on(one, fair(2, 0)) as first,
            bulkhead_on(two, fair(2, 1)) as second,
            first.permit("read", 1),
            second.permit("read", 1),
        ):
            for bulkhead in (first, second):
                with pytest.raises(UpstreamBusy):
                    await bulkhead.permit("read", 1).__aenter__()
            async with first.permit("read", 2), second.permit("read", 2):
                pass


async def test_triggers_leave_a_permit_of_the_share_to_reads_while_the_server_is_unavailable(
    server: ValkeyServer,
) -> None:
    async with reached(server) as one:
        server.kill()
        async with bulkhead_on(one, fair(2, 0)) as bulkhead, bulkhead.permit("trigger", 1):
            with pytest.raises(UpstreamBusy):
                await bulkhead.permit("trigger", 2).__aenter__()
            async with bulkhead.permit("read", 2):
                pass


async def test_who_waits_keeps_no_permit_from_others(server: ValkeyServer) -> None:
    """Only what is held is renewed: renewing what is asked for would hold it."""
    async with (
        reached(server) as one,
        reached(server) as two,
        bulkhead_on(one) as first,
        bulkhead_on(two, timings=PermitTimings(renew=0.01)) as second,
        first.permit("read", 1),
        first.permit("read", 1),
    ):
        with pytest.raises(UpstreamBusy):
            await second.permit("read", 1).__aenter__()
        await until_held(server, 2)
        waiting = asyncio.create_task(second.permit("read", 1).__aenter__())
        most = 0
        while not waiting.done():
            most = max(most, held(server))
            await asyncio.sleep(0.01)
        assert isinstance(waiting.exception(), UpstreamBusy)
        assert most == 2


async def test_who_asks_again_after_a_late_answer_has_one_permit(server: ValkeyServer, valkey: Valkey) -> None:
    arguments = (SIZE, SIZE - 1, 1, SIZE, 1, 6.0, "0123456789abcdef acme")

    for _ in range(2):
        assert await valkey.run(ACQUIRE_PERMIT, tuple(KIND_KEYS.values()), arguments)

    assert held(server) == 1


async def test_who_is_cancelled_while_waiting_leaves_nothing_behind(server: ValkeyServer) -> None:
    calls = Calls()
    async with three_bulkheads(server) as bulkheads:
        waiting = [asyncio.create_task(calls.one(bulkhead, n, seconds=5)) for bulkhead in bulkheads for n in range(6)]
        while calls.inside < 3:
            await asyncio.sleep(0.005)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await until_given_back(server)
        assert sum(bulkhead.in_flight for bulkhead in bulkheads) == 0


async def test_the_permits_of_a_killed_gateway_are_free_again(server: ValkeyServer, valkey: Valkey) -> None:
    """A permit is held for seconds after its last renewal; here for a fraction of one."""
    keys = tuple(KIND_KEYS.values())
    for number in range(3):
        assert await valkey.run(ACQUIRE_PERMIT, keys, (SIZE, SIZE - 1, SIZE, SIZE, SIZE, 0.3, f"dead {number}"))
    async with bulkhead_on(valkey) as bulkhead, asyncio.timeout(BOUND_SECONDS), bulkhead.permit("read", 1):
        assert bulkhead.in_flight == 1


async def test_a_permit_is_renewed_as_long_as_the_call_lasts(server: ValkeyServer, valkey: Valkey) -> None:
    async with bulkhead_on(valkey, timings=PermitTimings(renew=0.02)) as bulkhead, bulkhead.permit("read", 1):
        with operator(server) as redis:
            (holder,) = redis.zrange(KIND_KEYS["read"], 0, -1)
            first = redis.zscore(KIND_KEYS["read"], str(holder))
            async with asyncio.timeout(BOUND_SECONDS):
                while redis.zscore(KIND_KEYS["read"], str(holder)) == first:
                    await asyncio.sleep(0.01)
            assert redis.pttl(KIND_KEYS["read"]) > (PermitTimings().hold - 3) * 1000


async def test_while_the_server_is_unavailable_each_gateway_has_its_share(server: ValkeyServer) -> None:
    calls = Calls()
    async with three_bulkheads(server) as bulkheads:
        server.kill()
        await asyncio.gather(*(calls.one(bulkhead, n, seconds=0.05) for bulkhead in bulkheads for n in range(8)))

    assert calls.most == SIZE
    assert calls.done >= SIZE


async def test_permits_that_come_free_while_the_server_is_unavailable_are_free_when_it_is_back(
    server: ValkeyServer, valkey: Valkey
) -> None:
    async with bulkhead_on(valkey, timings=PermitTimings(hold=10 * BOUND_SECONDS)) as bulkhead:
        async with bulkhead.permit("read", 1), bulkhead.permit("read", 2):
            assert held(server) == 2
            server.pause()
        async with asyncio.timeout(BOUND_SECONDS):
            while not valkey.is_unavailable:
                await asyncio.sleep(0.01)
        server.resume()
        await until_given_back(server)


async def test_a_gateway_without_a_share_is_busy_at_once(server: ValkeyServer, valkey: Valkey) -> None:
    server.kill()
    async with bulkhead_on(valkey, fair(8, 7)) as bulkhead:
        with pytest.raises(UpstreamBusy, match="busy"):
            async with bulkhead.permit("read", 1):
                pytest.fail("had a permit")
        assert bulkhead.in_flight == 0


async def test_who_may_be_taken_for_dead_triggers_nothing_and_holds_no_permit(
    server: ValkeyServer, valkey: Valkey
) -> None:
    async with bulkhead_on(valkey, may_trigger=False) as bulkhead:
        with pytest.raises(UpstreamBusy, match="busy"):
            async with bulkhead.permit("trigger", 1):
                pytest.fail("may trigger")
        async with bulkhead.permit("read", 1):
            pass

        await until_given_back(server)
        assert bulkhead.in_flight == 0


async def test_a_restarted_server_learns_what_is_held(server: ValkeyServer, valkey: Valkey) -> None:
    async with bulkhead_on(valkey, timings=PermitTimings(renew=0.02)) as bulkhead, bulkhead.permit("read", 1):
        server.kill()
        server.start()
        async with asyncio.timeout(BOUND_SECONDS):
            while not held(server):
                await asyncio.sleep(0.01)
    await until_given_back(server)
