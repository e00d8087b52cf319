"""What one gateway remembers of the buckets that all share: never less than there is, and a fair part of it alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cluster.known_buckets import KnownBucket, KnownBuckets, take_shares
from gateway.limiter import TokenBucket
from gateway.models import RatePolicy

SHIPPED = RatePolicy(100, 60)
KEY = "key_1"
PERIODS = 3

policies = st.builds(RatePolicy, st.integers(1, 300), st.integers(1, 5000))


@given(policy=policies, pauses=st.lists(st.floats(0, 200) | st.just(0.0), min_size=1, max_size=40))
def test_the_share_of_a_gateway_alone_is_the_whole_bucket(policy: RatePolicy, pauses: list[float]) -> None:
    known, bucket, now = KnownBuckets(policy), TokenBucket(policy, 0.0), 0.0
    for pause in pauses:
        now += pause
        assert known.take_share(KEY, policy, 1, now) == bucket.take(policy, now)


@pytest.mark.parametrize("gateways", [1, 2, 3, 7, 100, 1000])
@pytest.mark.parametrize("policy", [SHIPPED, RatePolicy(1, 60), RatePolicy(10, 1)])
def test_the_shares_are_no_more_than_the_whole_and_never_nothing(policy: RatePolicy, gateways: int) -> None:
    """A gateway that takes whenever it may; where the limit is less than one each, all begin with one."""
    known, now, passed = KnownBuckets(policy), 0.0, 0
    end = PERIODS * policy.per_seconds * gateways
    while now < end:
        decision = known.take_share(KEY, policy, gateways, now)
        passed += decision.allowed
        if not decision.remaining:
            now += decision.next_token_seconds

    assert passed >= PERIODS
    assert passed * gateways <= max(policy.requests, gateways) + end * policy.tokens_per_second + gateways


@given(policy=policies, gateways=st.integers(1, 20), pauses=st.lists(st.floats(0, 100), max_size=20))
def test_what_a_share_says_holds(policy: RatePolicy, gateways: int, pauses: list[float]) -> None:
    """So many more pass at once, then none; and who waits as told passes."""
    known, now = KnownBuckets(policy), 1000.0
    for pause in [*pauses, 0.0]:
        now += pause
        decision = known.take_share(KEY, policy, gateways, now)
    for _ in range(decision.remaining):
        decision = known.take_share(KEY, policy, gateways, now)
        assert decision.allowed
    refused = known.take_share(KEY, policy, gateways, now)
    assert (refused.allowed, refused.remaining) == (False, 0)

    assert known.take_share(KEY, policy, gateways, now + refused.next_token_seconds).allowed


def test_a_bucket_nobody_told_of_is_full() -> None:
    assert KnownBuckets(SHIPPED).tokens(KEY, SHIPPED, 0.0) == 100.0


def test_what_was_told_refills_from_the_moment_it_was_asked_for() -> None:
    known = KnownBuckets(SHIPPED)
    known.learn(KEY, SHIPPED, 10.0, asked_at=0.0)

    assert known.tokens(KEY, SHIPPED, 6.0) == pytest.approx(20.0)
    assert known.tokens(KEY, SHIPPED, 60.0) == 100.0


def test_an_answer_that_was_overtaken_changes_nothing() -> None:
    known = KnownBuckets(SHIPPED)
    known.learn(KEY, SHIPPED, 10.0, asked_at=0.0)
    known.learn(KEY, SHIPPED, 11.0, asked_at=0.0)

    assert known.tokens(KEY, SHIPPED, 0.0) == 10.0


def test_an_answer_that_comes_late_is_refilled_as_the_bucket_was() -> None:
    known = KnownBuckets(SHIPPED)
    known.learn(KEY, SHIPPED, 90.0, asked_at=0.0)
    known.tokens(KEY, SHIPPED, 6.0)
    known.learn(KEY, SHIPPED, 10.0, asked_at=0.0)

    assert known.tokens(KEY, SHIPPED, 6.0) == pytest.approx(20.0)


def test_a_debt_ends_with_the_next_answer() -> None:
    """The bucket in Valkey knows nothing of it: a key told to wait a minute may call then."""
    slow = RatePolicy(1, 60)
    known = KnownBuckets(slow)
    assert known.take_share(KEY, slow, 3, 0.0).allowed
    assert known.tokens(KEY, slow, 0.0) == 0.0
    known.learn(KEY, slow, 0.0, asked_at=0.0)

    assert known.tokens(KEY, slow, 60.0) == 1.0


def test_only_full_buckets_are_forgotten() -> None:
    known = KnownBuckets(SHIPPED)
    for number in range(1000):
        known.learn(f"rested {number}", SHIPPED, 99.0, asked_at=0.0)
    known.learn(KEY, SHIPPED, 0.0, asked_at=0.0)

    for number in range(1000):
        known.learn(f"new {number}", SHIPPED, 0.0, asked_at=1.0)

    assert len(known) == 1001
    assert known.tokens(KEY, SHIPPED, 1.0) == pytest.approx(100 / 60)


def test_shares_are_taken_from_both_buckets_or_from_neither() -> None:
    keys, clients = KnownBuckets(SHIPPED), KnownBuckets(SHIPPED)
    key, client = KnownBucket(keys, KEY, RatePolicy(9, 60)), KnownBucket(clients, "client", RatePolicy(6, 60))

    decisions = [take_shares([key, client], 3, 0.0) for _ in range(3)]

    assert [[each.allowed for each in both] for both in decisions] == [[True, True], [True, True], [True, False]]
    assert [both[0].remaining for both in decisions] == [2, 1, 1]
