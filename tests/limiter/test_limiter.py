"""The rate limit: buckets as tables of moments, and what holds for every policy and every caller."""

import tracemalloc
from fractions import Fraction
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limiter import CallLimiter, Decision, Limiter, TokenBucket, total_rate
from gateway.models import ClientLimit, RatePolicy, WorkingKeys
from tests.support import HandClock, a_caller

SHIPPED = RatePolicy(100, 60)
FLOAT_DUST = 1e-5
"""Tokens: what sums of floats may be wrong by."""

policies = st.builds(RatePolicy, st.integers(1, 300), st.integers(1, 5000))
pauses = st.lists(st.floats(0, 200) | st.just(0.0), min_size=1, max_size=120)


def answer(decision: Decision) -> tuple[bool, int, int]:
    return decision.allowed, decision.remaining, decision.next_token_seconds


Steps = list[tuple[float, tuple[bool, int, int]]]
TABLES: dict[str, tuple[RatePolicy, Steps]] = {
    "a rested key has its whole burst": (
        SHIPPED,
        [(0, (True, 99, 1)), (0, (True, 98, 1)), (0, (True, 97, 1))],
    ),
    "a token taken is back after 0.6 seconds": (
        SHIPPED,
        [(0, (True, 99, 1)), (0.59, (True, 98, 1)), (0.6, (True, 98, 1)), (1.2, (True, 98, 1)), (60, (True, 99, 1))],
    ),
    "fractions of a token are kept": (
        RatePolicy(1, 10),
        [(0, (True, 0, 10)), (4, (False, 0, 6)), (9.5, (False, 0, 1)), (10, (True, 0, 10)), (20.5, (True, 0, 10))],
    ),
    "rest beyond the capacity is not saved up": (
        RatePolicy(2, 10),
        [(0, (True, 1, 5)), (1e6, (True, 1, 5)), (1e6, (True, 0, 5)), (1e6, (False, 0, 5))],
    ),
    "a bucket of one admits one": (
        RatePolicy(1, 60),
        [(0, (True, 0, 60)), (0, (False, 0, 60)), (59.5, (False, 0, 1)), (60, (True, 0, 60)), (60, (False, 0, 60))],
    ),
    "time that stands still gives nothing": (
        RatePolicy(2, 60),
        [(5, (True, 1, 30)), (5, (True, 0, 30)), (5, (False, 0, 30)), (5, (False, 0, 30)), (5, (False, 0, 30))],
    ),
    "time that runs backwards gives nothing and takes nothing": (
        RatePolicy(2, 60),
        [(7200, (True, 1, 30)), (3600, (True, 0, 30)), (3600, (False, 0, 30))],
    ),
    "after time ran backwards tokens come at their usual pace": (
        RatePolicy(2, 60),
        [(7200, (True, 1, 30)), (7200, (True, 0, 30)), (0, (False, 0, 30)), (29, (False, 0, 1)), (30, (True, 0, 30))],
    ),
    "refused calls cost nothing": (
        RatePolicy(1, 10),
        [(0, (True, 0, 10)), *[(second, (False, 0, 10 - second)) for second in range(1, 10)], (10, (True, 0, 10))],
    ),
}


@pytest.mark.parametrize(("policy", "steps"), TABLES.values(), ids=TABLES)
def test_bucket(policy: RatePolicy, steps: Steps) -> None:
    bucket = TokenBucket(policy, steps[0][0])

    assert [(now, answer(bucket.take(policy, now))) for now, _ in steps] == steps


def test_the_shipped_limit_admits_100_at_once_and_then_one_each_600_milliseconds() -> None:
    bucket = TokenBucket(SHIPPED, 0)

    assert [bucket.take(SHIPPED, 0).remaining for _ in range(100)] == list(range(99, -1, -1))
    assert answer(bucket.take(SHIPPED, 0)) == (False, 0, 1)
    tenths_admitted = [tenth for tenth in range(1, 61) if bucket.take(SHIPPED, tenth / 10).allowed]
    assert tenths_admitted == [6, 12, 18, 24, 30, 36, 42, 48, 54, 60]


def test_250_calls_at_one_instant_admit_exactly_100() -> None:
    limiter = Limiter(SHIPPED)

    assert [limiter.take("key_1", None, 7.0).allowed for _ in range(250)] == [True] * 100 + [False] * 150


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (RatePolicy(10, 60), RatePolicy(2, 60), (True, 1, 30)),
        (RatePolicy(10, 60), RatePolicy(100, 60), (True, 4, 1)),
        (RatePolicy(10, 60), RatePolicy(10, 600), (True, 4, 60)),
    ],
    ids=["a smaller bucket holds what fits", "a larger bucket is not filled", "a slower one keeps its tokens"],
)
def test_a_policy_changed_in_mid_use_keeps_the_tokens_that_are_left(
    before: RatePolicy, after: RatePolicy, expected: tuple[bool, int, int]
) -> None:
    limiter = Limiter(SHIPPED)
    for _ in range(4):
        limiter.take("key_1", before, 0)

    assert answer(limiter.take("key_1", before, 0)) == (True, 5, 6)
    assert answer(limiter.take("key_1", after, 0)) == expected


def test_each_key_has_its_own_bucket() -> None:
    limiter = Limiter(RatePolicy(1, 60))

    assert limiter.take("key_1", None, 0).allowed
    assert not limiter.take("key_1", None, 0).allowed
    assert limiter.take("key_2", None, 0).allowed


def test_a_decision_names_the_policy_it_was_made_under() -> None:
    limiter = Limiter(SHIPPED)

    assert limiter.take("key_1", None, 0).policy == SHIPPED
    assert limiter.take("key_2", RatePolicy(5, 1), 0).policy == RatePolicy(5, 1)


@given(policies, pauses)
def test_no_window_admits_more_than_the_capacity_and_its_refill(policy: RatePolicy, pauses: list[float]) -> None:
    bucket = TokenBucket(policy, 0)
    now, admitted = 0.0, []
    for pause in pauses:
        now += pause
        admitted += [now for _ in range(4) if bucket.take(policy, now).allowed]

    for first, start in enumerate(admitted):
        for count, end in enumerate(admitted[first:], start=1):
            refill = (end - start) * policy.requests / policy.per_seconds
            assert count <= policy.requests + refill + FLOAT_DUST


@given(policies, pauses)
def test_what_remains_is_never_negative_and_never_above_the_capacity(policy: RatePolicy, pauses: list[float]) -> None:
    bucket = TokenBucket(policy, 0)
    now = 0.0
    for pause in pauses:
        now += pause
        decision = bucket.take(policy, now)
        assert 0 <= decision.remaining <= policy.requests - decision.allowed
        assert decision.next_token_seconds >= (0 if decision.allowed else 1)


@given(policies, pauses)
def test_coming_back_when_told_always_succeeds(policy: RatePolicy, pauses: list[float]) -> None:
    bucket = TokenBucket(policy, 0)
    now = 0.0
    for pause in pauses:
        now += pause
        while (decision := bucket.take(policy, now)).allowed:
            pass
        now += decision.next_token_seconds
        assert bucket.take(policy, now).allowed


@given(policies, pauses)
def test_a_caller_is_told_to_wait_less_than_a_second_too_long(policy: RatePolicy, pauses: list[float]) -> None:
    bucket = TokenBucket(policy, 0)
    now = 0.0
    for pause in pauses:
        now += pause
        while (decision := bucket.take(policy, now)).allowed:
            pass
        early = now + decision.next_token_seconds - 1
        if early > now:
            assert not bucket.take(policy, early - 0.001).allowed
            now = early


calls = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", "d", "e", "f"]), st.floats(0, 60) | st.just(0.0)),
    min_size=1,
    max_size=150,
)


@given(policies, calls)
def test_forgetting_buckets_changes_no_decision(policy: RatePolicy, calls: list[tuple[str, float]]) -> None:
    limiter = Limiter(policy)
    never_forgotten: dict[str, TokenBucket] = {}
    now = 1000.0
    for key_id, pause in calls:
        now += pause
        bucket = never_forgotten.setdefault(key_id, TokenBucket(policy, now))
        assert limiter.take(key_id, None, now) == bucket.take(policy, now)


def test_buckets_of_idle_keys_disappear_as_new_keys_come() -> None:
    limiter = Limiter(SHIPPED)
    for number in range(1000):
        limiter.take(f"old_{number}", None, 0)
    assert len(limiter) == 1000

    for number in range(1000):
        limiter.take(f"new_{number}", None, 60)

    assert len(limiter) == 1000
    assert not limiter.take("new_0", RatePolicy(1, 60), 60).remaining


def test_a_flood_of_new_keys_forgets_no_bucket_that_is_in_use() -> None:
    limiter = Limiter(RatePolicy(1, 60))
    limiter.take("busy", None, 0)

    for number in range(1000):
        limiter.take(f"new_{number}", None, 1)

    assert not limiter.take("busy", None, 1).allowed


def test_100_000_active_keys_fit_in_40_megabytes() -> None:
    names = [f"key_{number:016d}" for number in range(100_000)]
    limiter = Limiter(SHIPPED)
    tracemalloc.start()
    try:
        for number, name in enumerate(names):
            limiter.take(name, None, number * 1e-6)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(limiter) == 100_000
    assert used <= 40_000_000


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=20).map(sorted))
def test_a_bucket_is_called_full_only_when_a_new_one_would_be_no_better(moments: list[float]) -> None:
    bucket = TokenBucket(SHIPPED, moments[0])
    bucket.take(SHIPPED, moments[0])

    for earlier, later in pairwise(moments):
        assert bucket.is_full(earlier) <= bucket.is_full(later)
        assert bucket.is_full(later) == (later - moments[0] >= 0.6) or abs(later - moments[0] - 0.6) < FLOAT_DUST


def test_to_look_tells_what_is_left_and_takes_nothing() -> None:
    clock = HandClock()
    limiter = CallLimiter(RatePolicy(2, 60), most_active=20, monotonic=clock.monotonic)
    limiter.take(a_caller())

    told = [(look.remaining, look.next_token_seconds) for look in (limiter.look(a_caller()) for _ in range(3))]

    assert told == [(1, 30)] * 3
    assert limiter.look(a_caller("key_2")).remaining == 2


def test_a_forgotten_bucket_is_full() -> None:
    limiter = Limiter(RatePolicy(1, 10))
    limiter.take("a", None, 0)

    limiter.forget("a")
    limiter.forget("b")

    assert limiter.take("a", None, 0).allowed


@pytest.mark.parametrize(
    ("after", "full", "begun", "empty"),
    [
        # Full is full again, begun keeps what fits, and an empty one is not filled by a reload.
        (RatePolicy(100, 60), (True, 99, 1), (True, 7, 1), (False, 0, 1)),
        (RatePolicy(5, 60), (True, 4, 12), (True, 4, 12), (False, 0, 12)),
    ],
)
def test_a_changed_default_is_for_every_key_that_has_no_other(
    after: RatePolicy, full: tuple[bool, int, int], begun: tuple[bool, int, int], empty: tuple[bool, int, int]
) -> None:
    limiter = Limiter(RatePolicy(10, 60))
    own = RatePolicy(10, 60)
    limiter.take("key_full", None, 0)
    for now in (60, 60):
        limiter.take("key_begun", None, now)
    for _ in range(10):
        limiter.take("key_empty", None, 60)
        limiter.take("key_own", own, 60)

    limiter.change_default(after, 60)

    assert answer(limiter.take("key_full", None, 60)) == full
    assert answer(limiter.take("key_begun", None, 60)) == begun
    assert answer(limiter.take("key_empty", None, 60)) == empty
    assert answer(limiter.take("key_own", own, 60)) == (False, 0, 6)
    assert limiter.take("key_new", None, 60).policy == after


def test_until_the_change_a_bucket_filled_at_the_old_rate() -> None:
    limiter = Limiter(RatePolicy(10, 60))
    for _ in range(10):
        limiter.take("key_1", None, 0)

    limiter.change_default(RatePolicy(1000, 60), 30)

    # Five tokens in the half minute before, and sixteen in the second after.
    assert answer(limiter.take("key_1", None, 31)) == (True, 20, 1)


MOST = 20
tight = st.builds(RatePolicy, st.integers(1, 20), st.integers(1, 600))
limits = st.builds(
    ClientLimit,
    total=st.none() | tight,
    rate=st.none() | tight,
    most_keys=st.none() | st.integers(1, 5),
    working=st.lists(st.builds(WorkingKeys, st.none() | policies, st.integers(1, 50)), max_size=4).map(tuple),
)
comings = st.lists(st.tuples(st.integers(0, 5), st.floats(0, 100) | st.just(0.0)), min_size=1, max_size=80)


def call_limiter(default: RatePolicy = SHIPPED) -> tuple[CallLimiter, HandClock]:
    clock = HandClock()
    return CallLimiter(default, most_active=MOST, monotonic=clock.monotonic), clock


@given(tight, limits, comings)
def test_whatever_a_client_does_with_keys_no_window_admits_more_than_its_rate(
    default: RatePolicy, limit: ClientLimit, comings: list[tuple[int, float]]
) -> None:
    limiter, clock = call_limiter(default)
    total = limiter.rate_of_client(limit)
    admitted = []
    for number, (_, pause) in enumerate(comings):
        clock.advance(pause)
        admitted += [clock.elapsed for _ in range(9) if limiter.take(a_caller(f"new_{number}", limit=limit)).allowed]

    for first, start in enumerate(admitted):
        for count, end in enumerate(admitted[first:], start=1):
            assert count <= total.requests + (end - start) * total.tokens_per_second + FLOAT_DUST


def test_keys_made_and_revoked_in_a_loop_call_no_more_in_an_hour_than_the_most_keys_may() -> None:
    limiter, clock = call_limiter(RatePolicy(10, 60))
    answered = 0
    for second in range(3600):
        clock.advance(1)
        answered += sum(limiter.take(a_caller(f"key_{second}_{number}")).allowed for number in range(10))

    assert MOST * 10 * 60 <= answered <= MOST * 10 * 60 * 1.1


@given(tight, limits, comings)
def test_who_obeys_retry_after_finds_a_token_in_both_buckets(
    default: RatePolicy, limit: ClientLimit, comings: list[tuple[int, float]]
) -> None:
    limiter, clock = call_limiter(default)
    for key, pause in comings:
        clock.advance(pause)
        caller = a_caller(f"key_{key}", limit=limit)
        while (decision := limiter.take(caller)).allowed:
            pass
        assert decision.retry_after >= max(1, decision.next_token_seconds if not decision.remaining else 1)
        clock.advance(decision.retry_after)
        assert limiter.take(caller).allowed


@pytest.mark.parametrize(
    ("of_key", "total", "refusal", "retry_after", "told"),
    [
        (RatePolicy(1, 60), RatePolicy(2, 60), "1 request per minute per API key", 60, (False, 0, 60)),
        (RatePolicy(2, 60), RatePolicy(1, 60), "1 request per minute per client", 60, (False, 1, 30)),
        (RatePolicy(1, 60), RatePolicy(1, 90), "1 request per 90 seconds per client", 90, (False, 0, 60)),
        (RatePolicy(1, 90), RatePolicy(1, 60), "1 request per 90 seconds per API key", 90, (False, 0, 90)),
    ],
    ids=["the key's", "the client's", "the client's for longer", "the key's for longer"],
)
def test_a_refused_call_is_told_which_limit_it_waits_for_and_the_key_s_figures(
    of_key: RatePolicy, total: RatePolicy, refusal: str, retry_after: int, told: tuple[bool, int, int]
) -> None:
    limiter, _ = call_limiter()
    caller = a_caller(rate=of_key, limit=ClientLimit(total=total))
    assert limiter.take(caller).allowed

    decision = limiter.take(caller)

    assert decision.refusal == f"Rate limit exceeded — {refusal}"
    assert decision.retry_after == retry_after
    assert answer(decision) == told


def test_a_call_that_is_refused_takes_from_neither_bucket() -> None:
    limiter, _ = call_limiter(RatePolicy(2, 60))
    limit = ClientLimit(total=RatePolicy(3, 60))
    one, two, three = (a_caller(f"key_{number}", limit=limit) for number in range(3))
    assert [limiter.take(one).allowed for _ in range(9)] == [True, True] + [False] * 7
    assert limiter.take(two).allowed

    assert [answer(limiter.take(three))[:2] for _ in range(3)] == [(False, 2)] * 3


def test_keys_of_one_chain_take_from_one_bucket() -> None:
    limiter, _ = call_limiter(RatePolicy(2, 60))

    allowed = [limiter.take(a_caller(key, bucket_id=of)).allowed for key, of in (("a", None), ("b", "a"), ("c", "a"))]

    assert allowed == [True, True, False]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (ClientLimit(), RatePolicy(2000, 60)),
        (ClientLimit(most_keys=3), RatePolicy(300, 60)),
        (ClientLimit(rate=RatePolicy(7, 10)), RatePolicy(140, 10)),
        (ClientLimit(total=RatePolicy(5, 1), working=(WorkingKeys(None, 50),)), RatePolicy(5, 1)),
        (ClientLimit(working=(WorkingKeys(None, 20),)), RatePolicy(2000, 60)),
        (ClientLimit(working=(WorkingKeys(None, 50),)), RatePolicy(5000, 60)),
        (ClientLimit(working=(WorkingKeys(None, 1), WorkingKeys(RatePolicy(6000, 60), 2))), RatePolicy(12_100, 60)),
        (ClientLimit(most_keys=1, working=(WorkingKeys(RatePolicy(50, 1), 1),)), RatePolicy(100, 2)),
        (ClientLimit(most_keys=1, working=(WorkingKeys(RatePolicy(3600, 3600), 1),)), RatePolicy(3600, 2160)),
    ],
    ids=[
        "the most keys",
        "its own most",
        "its own rate",
        "its own total",
        "as many as may be",
        "more than may be",
        "own rates",
        "a quick one",
        "a slow one",
    ],
)
def test_the_rate_of_a_client(limit: ClientLimit, expected: RatePolicy) -> None:
    assert total_rate(limit, SHIPPED, MOST) == expected


@given(tight, limits)
def test_the_rate_of_a_client_leaves_each_of_its_keys_its_own(default: RatePolicy, limit: ClientLimit) -> None:
    total = total_rate(msgspec.structs.replace(limit, total=None), default, MOST)
    rates = [(keys.rate or limit.rate or default, keys.count) for keys in limit.working]
    per_second = sum(Fraction(rate.requests, rate.per_seconds) * count for rate, count in rates)

    assert total.requests >= sum(rate.requests * count for rate, count in rates)
    assert Fraction(total.requests, total.per_seconds) >= per_second


def test_a_changed_default_is_for_clients_too_from_then_on() -> None:
    limiter, clock = call_limiter(RatePolicy(1, 60))
    for number in range(MOST):
        assert limiter.take(a_caller(f"key_{number}")).allowed
    assert not limiter.take(a_caller("key_new")).allowed

    clock.advance(30)
    limiter.change_default(RatePolicy(60, 60))

    # Ten tokens in the half minute before, and twenty in the second after.
    clock.advance(1)
    assert sum(limiter.take(a_caller(f"new_{number}")).allowed for number in range(100)) == 30


async def test_pages_take_from_the_client_s_bucket() -> None:
    limiter, _ = call_limiter()
    limit = ClientLimit(total=RatePolicy(2, 60))
    assert limiter.take(a_caller(limit=limit)).allowed

    first, second = [await limiter.take_of_client(1, limit) for _ in range(2)]

    assert [first.allowed, second.allowed, limiter.take(a_caller(limit=limit)).allowed] == [True, False, False]
    assert (second.refusal, second.retry_after) == ("Rate limit exceeded — 2 requests per minute per client", 30)


async def test_a_key_that_was_not_made_is_not_counted() -> None:
    limiter, _ = call_limiter()
    await limiter.give_back_new_key(1)
    for _ in range(100):
        assert (await limiter.take_new_key(1)).allowed
        await limiter.give_back_new_key(1)

    assert sum([(await limiter.take_new_key(1)).allowed for _ in range(70)]) == 60


async def test_a_client_makes_sixty_keys_an_hour() -> None:
    limiter, clock = call_limiter()
    made = [(await limiter.take_new_key(1)).allowed for _ in range(70)]
    clock.advance(60)

    assert made == [True] * 60 + [False] * 10
    assert [(await limiter.take_new_key(client_id)).allowed for client_id in (1, 1, 2)] == [True, False, True]


async def test_a_client_sends_sixty_forms_about_webhooks_an_hour_beside_those_for_keys() -> None:
    limiter, _ = call_limiter()
    sent = [(await limiter.take_webhook_form(1)).allowed for _ in range(70)]

    assert sent == [True] * 60 + [False] * 10
    assert (await limiter.take_webhook_form(2)).allowed
    assert (await limiter.take_new_key(1)).allowed
