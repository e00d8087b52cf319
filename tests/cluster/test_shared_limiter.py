"""The shared rate limit: the same arithmetic as the one in memory, and what holds while nobody can be asked."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cluster.answers import MILLIONTHS, as_tokens_taken
from gateway.cluster.scripts import BUCKETS, TAKE, TAKE_TOKENS
from gateway.cluster.shared_limiter import BUCKET_PREFIX, SharedLimiter
from gateway.cluster.timings import ValkeyTimings
from gateway.cluster.valkey import Valkey
from gateway.limiter import CallLimiter, Decision, TokenBucket, both
from gateway.models import ClientLimit, RatePolicy
from tests.cluster.conftest import PATIENCE_SECONDS, reached
from tests.support import BOUND_SECONDS, HandClock, a_caller
from tests.valkey import ValkeyServer, operator, running_valkey

SHIPPED = RatePolicy(100, 60)
TAKE_AT = f"local now = tonumber(ARGV[#ARGV]) {BUCKETS} {TAKE}".replace("redis.call('PEXPIRE'", "assert(true")
"""The script with the time as an argument, and without an expiry by a time that is not the server's."""
RESTARTS = 12
START = 1_780_000_000.0

policies = st.builds(RatePolicy, st.integers(1, 300), st.integers(1, 5000))
pauses = st.lists(st.floats(-50, 200) | st.just(0.0), min_size=1, max_size=40)


@dataclass
class Peers:
    """How many gateways there are. A limiter wants to know only where it decides by itself."""

    count: int
    asked: int = 0

    def __call__(self) -> int:
        self.asked += 1
        return self.count


def limiter_of(
    valkey: Valkey, default: RatePolicy = SHIPPED, *, gateways: int = 3, monotonic: Callable[[], float] | None = None
) -> SharedLimiter:
    return SharedLimiter(
        default, valkey, most_active=20, peers=Peers(gateways), monotonic=monotonic or HandClock().monotonic
    )


async def allowed(limiter: SharedLimiter, calls: int, key: str = "key_1", rate: RatePolicy | None = None) -> int:
    decisions = await asyncio.gather(*(limiter.take(a_caller(key, rate)) for _ in range(calls)))
    return sum(decision.allowed for decision in decisions)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with running_valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@settings(max_examples=60)
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
                arguments = (policy.requests, policy.per_seconds, policy.requests, repr(now))
                (told,) = as_tokens_taken(redis.eval(TAKE_AT, 1, "bucket", *arguments), arguments)
                assert (told.allowed, told.remaining, told.next_token_seconds) == (
                    expected.allowed,
                    expected.remaining,
                    expected.next_token_seconds,
                )
                assert bucket.tokens <= told.tokens < bucket.tokens + 2 / MILLIONTHS


async def test_of_many_calls_over_several_gateways_exactly_the_limit_passes(server: ValkeyServer) -> None:
    async with reached(server) as one, reached(server) as two, reached(server) as three:
        for attempt in range(20):
            peers = Peers(3)
            limiters = [
                SharedLimiter(
                    RatePolicy(100, 3600), valkey, most_active=20, peers=peers, monotonic=HandClock().monotonic
                )
                for valkey in (one, two, three)
            ]
            passed = await asyncio.gather(*(allowed(limiter, 83, f"key_{attempt}") for limiter in limiters))
            if not peers.asked:
                break
            # The machine stood still long enough for the server to count as unavailable: that is another test.

    assert sum(passed) == 100


async def test_a_bucket_is_gone_when_it_would_be_full(valkey: Valkey, server: ValkeyServer) -> None:
    limiter = limiter_of(valkey)
    with operator(server) as redis:
        await allowed(limiter, 10)
        milliseconds = redis.pttl(f"{BUCKET_PREFIX}{{1}}:key_1")
        assert isinstance(milliseconds, int)
        assert 0 < milliseconds <= 6002
        await allowed(limiter, 40, "key_2", RatePolicy(1, 10_000))
        assert redis.pttl(f"{BUCKET_PREFIX}{{1}}:key_2") > 9_000_000
        assert redis.dbsize() == 4  # with the client's and the probe's


async def test_what_the_decision_says_is_the_keys_own_policy(valkey: Valkey) -> None:
    limiter = limiter_of(valkey)

    first = await limiter.take(a_caller("key_1"))
    own = await limiter.take(a_caller("key_2", RatePolicy(1, 60)))
    refused = await limiter.take(a_caller("key_2", RatePolicy(1, 60)))

    assert (first.allowed, first.policy, first.remaining, first.next_token_seconds) == (True, SHIPPED, 99, 1)
    assert (own.allowed, own.policy, own.remaining, own.next_token_seconds) == (True, RatePolicy(1, 60), 0, 60)
    assert (refused.allowed, refused.remaining, refused.next_token_seconds) == (False, 0, 60)


async def test_to_look_asks_nobody_takes_nothing_and_is_never_below_nothing(
    valkey: Valkey, server: ValkeyServer
) -> None:
    limiter = limiter_of(valkey, RatePolicy(5, 3600), gateways=3)
    untouched = limiter.look(a_caller("key_2"))
    await allowed(limiter, 4)
    server.kill()
    await allowed(limiter, 1)

    looks = {limiter.look(a_caller()) for _ in range(3)}

    assert (untouched.remaining, untouched.next_token_seconds) == (5, 0)
    assert [(look.remaining, look.allowed) for look in looks] == [(1, True)]
    assert len(limiter) == 1


async def test_a_new_default_counts_from_the_next_call(valkey: Valkey) -> None:
    limiter = limiter_of(valkey)
    await allowed(limiter, 100)

    limiter.change_default(RatePolicy(5, 3600))

    assert limiter.default == RatePolicy(5, 3600)
    assert await allowed(limiter, 10) == 0
    assert await allowed(limiter, 10, "key_2") == 5


async def test_while_the_server_is_unavailable_each_gateway_allows_its_share_of_what_was_left(
    valkey: Valkey, server: ValkeyServer
) -> None:
    limiter = limiter_of(valkey, RatePolicy(100, 3600), gateways=3)
    assert await allowed(limiter, 60) == 60
    server.kill()

    assert await allowed(limiter, 100) == 13
    assert await allowed(limiter, 100, "key_2") == 33
    refused = await limiter.take(a_caller("key_1"))
    assert (refused.allowed, refused.policy) == (False, RatePolicy(100, 3600))
    assert refused.next_token_seconds > 36
    assert len(limiter) == 2


async def test_going_away_again_and_again_refills_nothing(valkey: Valkey, server: ValkeyServer) -> None:
    limiter = limiter_of(valkey, RatePolicy(10, 3600), gateways=1)
    passed = 0
    for _ in range(3):
        server.kill()
        passed += await allowed(limiter, 20)
        server.start()
        await until_back(valkey)

    assert passed == 10


async def until_back(*valkeys: Valkey) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        while any(valkey.is_unavailable for valkey in valkeys):
            await asyncio.sleep(0.01)


async def test_an_emptied_server_learns_what_was_left(valkey: Valkey, server: ValkeyServer) -> None:
    limiter = limiter_of(valkey, RatePolicy(100, 3600))
    assert await allowed(limiter, 60) == 60
    with operator(server) as redis:
        redis.flushall()

    assert await allowed(limiter, 100) == 40


async def test_who_knows_less_of_a_bucket_gives_it_away_to_nobody(server: ValkeyServer) -> None:
    """A gateway that hardly sees a key still takes its bucket for nearly full, and asks first each time."""
    async with reached(server) as one, reached(server) as two:
        busy, idle = (limiter_of(valkey, RatePolicy(100, 86_400)) for valkey in (one, two))
        passed = await allowed(idle, 1)
        for _ in range(5):
            passed += await allowed(busy, 120)
            with operator(server) as redis:
                redis.flushall()
            passed += await allowed(idle, 1)

    assert passed == 105


async def test_a_server_that_restarts_again_and_again_hands_out_twice_the_limit_at_most(server: ValkeyServer) -> None:
    quick = ValkeyTimings(patience=PATIENCE_SECONDS, first_probe_pause=0.02, longest_probe_pause=0.05)
    began = monotonic()
    async with reached(server, quick) as one, reached(server, quick) as two:
        limiters = [limiter_of(valkey, gateways=2, monotonic=monotonic) for valkey in (one, two)]

        async def passed_on_both() -> int:
            return sum(await asyncio.gather(*(allowed(limiter, 150) for limiter in limiters)))

        passed = await passed_on_both()
        for _ in range(RESTARTS):
            server.kill()
            passed += await passed_on_both()
            server.start()
            await until_back(one, two)
            passed += await passed_on_both()

    refilled = (monotonic() - began) * SHIPPED.tokens_per_second
    assert passed <= 2 * (SHIPPED.requests + refilled)


async def test_who_obeys_a_retry_after_succeeds_even_where_the_gateways_clock_is_slower(
    valkey: Valkey, server: ValkeyServer
) -> None:
    clock = HandClock()
    limiter = limiter_of(valkey, RatePolicy(2, 7200), monotonic=clock.monotonic)
    assert await allowed(limiter, 2) == 2
    refused = await limiter.take(a_caller("key_1"))

    with operator(server) as redis:
        updated = float(str(redis.hget(f"{BUCKET_PREFIX}{{1}}:key_1", "updated")))
        redis.hset(f"{BUCKET_PREFIX}{{1}}:key_1", "updated", repr(updated - refused.next_token_seconds))
    clock.advance(refused.next_token_seconds * 0.9995)

    assert (await limiter.take(a_caller("key_1"))).allowed


def test_the_script_goes_by_the_servers_clock() -> None:
    assert "redis.call('TIME')" in TAKE_TOKENS.text
    assert "PEXPIRE" in TAKE_TOKENS.text


@settings(max_examples=60)
@given(steps=st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 50) | st.just(0.0)), min_size=1, max_size=40))
def test_the_script_takes_from_both_buckets_or_from_neither(
    lasting: ValkeyServer, steps: list[tuple[str, float]]
) -> None:
    of_key, total = RatePolicy(4, 100), RatePolicy(5, 60)
    clock = HandClock()
    limiter = CallLimiter(of_key, most_active=20, monotonic=clock.monotonic)
    with operator(lasting) as redis:
        redis.flushall()
        for key, pause in steps:
            clock.advance(pause)
            expected = limiter.take(a_caller(key, limit=ClientLimit(total=total)))
            arguments = (4, 100, 4, 5, 60, 5)
            answer = redis.eval(TAKE_AT, 2, key, "client", *arguments, repr(clock.monotonic()))
            key_told, client_told = as_tokens_taken(answer, arguments)
            decisions = [
                Decision(told.allowed, policy, told.remaining, told.next_token_seconds)
                for told, policy in ((key_told, of_key), (client_told, total))
            ]
            assert both(*decisions) == expected


async def test_of_a_client_s_calls_with_many_keys_over_several_gateways_exactly_its_limit_passes(
    server: ValkeyServer,
) -> None:
    limit = ClientLimit(total=RatePolicy(50, 3600))
    async with reached(server) as one, reached(server) as two:
        limiters = [limiter_of(valkey) for valkey in (one, two)]
        decisions = [
            await limiter.take(a_caller(f"key_{number}", limit=limit)) for number in range(40) for limiter in limiters
        ]
    other = a_caller("key_0", client_id=2, limit=limit)

    assert sum(decision.allowed for decision in decisions) == 50
    assert decisions[-1].refusal == "Rate limit exceeded — 50 requests per hour per client"
    assert decisions[-1].retry_after == 72
    async with reached(server) as one:
        assert (await limiter_of(one).take(other)).allowed


async def test_a_call_that_its_client_may_not_make_costs_its_key_nothing(valkey: Valkey) -> None:
    limiter = limiter_of(valkey)
    limit = ClientLimit(total=RatePolicy(1, 86_400))
    assert (await limiter.take(a_caller("key_1", limit=limit))).allowed

    refused = [await limiter.take(a_caller("key_2", limit=limit)) for _ in range(3)]

    assert [(decision.allowed, decision.remaining) for decision in refused] == [(False, 100)] * 3


async def test_a_client_s_rate_is_shared_out_too_while_the_server_is_unavailable(
    valkey: Valkey, server: ValkeyServer
) -> None:
    limiter = limiter_of(valkey, gateways=3)
    server.kill()

    passed = [
        (await limiter.take(a_caller(f"key_{number}", limit=ClientLimit(total=RatePolicy(30, 3600))))).allowed
        for number in range(30)
    ]

    assert sum(passed) == 10


async def test_an_emptied_server_learns_what_was_left_of_a_client_s_tokens(
    valkey: Valkey, server: ValkeyServer
) -> None:
    limiter = limiter_of(valkey)
    limit = ClientLimit(total=RatePolicy(10, 86_400))
    for number in range(10):
        assert (await limiter.take(a_caller(f"key_{number}", limit=limit))).allowed
    with operator(server) as redis:
        redis.flushall()

    assert not (await limiter.take(a_caller("key_new", limit=limit))).allowed


async def test_pages_share_the_tokens_of_their_client_s_keys(valkey: Valkey) -> None:
    limiter = limiter_of(valkey)
    limit = ClientLimit(total=RatePolicy(2, 86_400))
    assert (await limiter.take(a_caller("key_1", limit=limit))).allowed

    first, second = [await limiter.take_of_client(1, limit) for _ in range(2)]

    assert [first.allowed, second.allowed] == [True, False]
    assert second.refusal == "Rate limit exceeded — 2 requests per day per client"
    assert not (await limiter.take(a_caller("key_1", limit=limit))).allowed


async def test_a_client_makes_sixty_keys_an_hour(valkey: Valkey) -> None:
    limiter = limiter_of(valkey)

    assert sum([(await limiter.take_new_key(1)).allowed for _ in range(70)]) == 60
    assert (await limiter.take_new_key(2)).allowed


async def test_a_client_sends_sixty_forms_about_webhooks_an_hour_whatever_gateways_they_come_to(
    valkey: Valkey,
) -> None:
    first, second = limiter_of(valkey), limiter_of(valkey)
    sent = [(await limiter.take_webhook_form(1)).allowed for limiter in (first, second) * 35]

    assert sum(sent) == 60
    assert (await first.take_webhook_form(2)).allowed
    assert (await first.take_new_key(1)).allowed


async def test_a_key_that_was_not_made_is_not_counted(valkey: Valkey) -> None:
    limiter = limiter_of(valkey)
    await limiter.give_back_new_key(1)
    for _ in range(100):
        assert (await limiter.take_new_key(1)).allowed
        await limiter.give_back_new_key(1)

    assert sum([(await limiter.take_new_key(1)).allowed for _ in range(70)]) == 60
