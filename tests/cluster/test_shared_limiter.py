"""The shared rate limit: the same arithmetic as the one in memory, and what holds while nobody can be asked."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cluster.scripts import BUCKET, DECISION, TAKE_TOKEN
from gateway.cluster.shared_limiter import BUCKET_PREFIX, SharedLimiter, share_of
from gateway.cluster.valkey import Valkey
from gateway.limiter import TokenBucket
from gateway.models import RatePolicy
from tests.cluster.conftest import reached
from tests.support import HandClock
from tests.valkey import ValkeyServer, operator, running_valkey

SHIPPED = RatePolicy(100, 60)
TAKE_AT = f"local now = tonumber(ARGV[3]) {BUCKET} {DECISION}"
"""The script with the time as an argument, and without an expiry by a time that is not the server's."""
START = 1_780_000_000.0

policies = st.builds(RatePolicy, st.integers(1, 300), st.integers(1, 5000))
pauses = st.lists(st.floats(-50, 200) | st.just(0.0), min_size=1, max_size=40)


def limiter_of(valkey: Valkey, default: RatePolicy = SHIPPED, *, gateways: int = 3) -> SharedLimiter:
    return SharedLimiter(default, valkey, peers=lambda: gateways, monotonic=HandClock().monotonic)


async def allowed(limiter: SharedLimiter, calls: int, key: str = "key_1", rate: RatePolicy | None = None) -> int:
    decisions = await asyncio.gather(*(limiter.take(key, rate) for _ in range(calls)))
    return sum(decision.allowed for decision in decisions)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with running_valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.tuples(policies, pauses), min_size=1, max_size=3))
def test_the_script_decides_as_the_bucket_does(
    lasting: ValkeyServer, steps: list[tuple[RatePolicy, list[float]]]
) -> None:
    now = START
    bucket = TokenBucket(steps[0][0], now)
    with operator(lasting) as redis:
        redis.flushall()
        for policy, waits in steps:
            for wait in waits:
                now += wait
                expected = bucket.take(policy, now)
                told = redis.eval(TAKE_AT, 1, "bucket", policy.requests, policy.per_seconds, repr(now))
                assert told == [int(expected.allowed), expected.remaining, expected.next_token_seconds]


async def test_of_many_calls_over_several_gateways_exactly_the_limit_passes(server: ValkeyServer) -> None:
    async with reached(server) as one, reached(server) as two, reached(server) as three:
        limiters = [limiter_of(valkey, RatePolicy(100, 3600)) for valkey in (one, two, three)]
        for attempt in range(20):
            passed = await asyncio.gather(*(allowed(limiter, 83, f"key_{attempt}") for limiter in limiters))
            if not any(limiters):
                break
            # The machine stood still long enough for the server to count as unavailable: that is another test.
            limiters = [limiter_of(valkey, RatePolicy(100, 3600)) for valkey in (one, two, three)]

    assert sum(passed) == 100


async def test_a_bucket_is_gone_when_it_would_be_full(valkey: Valkey, server: ValkeyServer) -> None:
    limiter = limiter_of(valkey)
    with operator(server) as redis:
        await allowed(limiter, 10)
        milliseconds = redis.pttl(f"{BUCKET_PREFIX}key_1")
        assert isinstance(milliseconds, int)
        assert 0 < milliseconds <= 6002
        await allowed(limiter, 40, "key_2", RatePolicy(1, 10_000))
        assert redis.pttl(f"{BUCKET_PREFIX}key_2") > 9_000_000
        assert redis.dbsize() == 3  # with the probe's


async def test_what_the_decision_says_is_the_keys_own_policy(valkey: Valkey) -> None:
    limiter = limiter_of(valkey)

    first = await limiter.take("key_1", None)
    own = await limiter.take("key_2", RatePolicy(1, 60))
    refused = await limiter.take("key_2", RatePolicy(1, 60))

    assert (first.allowed, first.policy, first.remaining, first.next_token_seconds) == (True, SHIPPED, 99, 1)
    assert (own.allowed, own.policy, own.remaining, own.next_token_seconds) == (True, RatePolicy(1, 60), 0, 60)
    assert (refused.allowed, refused.remaining, refused.next_token_seconds) == (False, 0, 60)


async def test_a_new_default_counts_from_the_next_call(valkey: Valkey) -> None:
    limiter = limiter_of(valkey)
    await allowed(limiter, 100)

    limiter.change_default(RatePolicy(5, 3600), 0.0)

    assert limiter.default == RatePolicy(5, 3600)
    assert await allowed(limiter, 10) == 0
    assert await allowed(limiter, 10, "key_2") == 5


async def test_while_the_server_is_unavailable_each_gateway_allows_its_share(
    valkey: Valkey, server: ValkeyServer
) -> None:
    limiter = limiter_of(valkey, RatePolicy(100, 3600), gateways=3)
    assert await allowed(limiter, 60) == 60
    server.kill()

    assert await allowed(limiter, 100) == 33
    refused = await limiter.take("key_1", None)
    assert (refused.allowed, refused.policy) == (False, RatePolicy(100, 3600))
    assert refused.next_token_seconds > 36
    assert len(limiter) == 1


async def test_going_away_again_and_again_refills_nothing(valkey: Valkey, server: ValkeyServer) -> None:
    limiter = limiter_of(valkey, RatePolicy(10, 3600), gateways=1)
    passed = 0
    for _ in range(3):
        server.kill()
        passed += await allowed(limiter, 20)
        server.start()
        while valkey.is_unavailable:
            await asyncio.sleep(0.01)

    assert passed == 10


@pytest.mark.parametrize("gateways", [1, 2, 3, 7, 100, 1000])
@pytest.mark.parametrize("policy", [SHIPPED, RatePolicy(1, 60), RatePolicy(10, 1)])
def test_the_shares_are_no_more_than_the_whole_and_never_nothing(policy: RatePolicy, gateways: int) -> None:
    share = share_of(policy, gateways)

    assert share.requests >= 1
    assert share.tokens_per_second * gateways <= policy.tokens_per_second * (1 + 1e-9)
    assert share.requests * gateways <= max(policy.requests, gateways)


def test_the_script_goes_by_the_servers_clock() -> None:
    assert "redis.call('TIME')" in TAKE_TOKEN.text
    assert "PEXPIRE" in TAKE_TOKEN.text
