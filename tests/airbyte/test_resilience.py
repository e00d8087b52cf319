"""Breaker and RetryBudget, alone."""

import pytest

from gateway.airbyte.resilience import Breaker, RetryBudget
from gateway.errors import UpstreamBusy


def test_the_breaker_opens_after_five_faults_in_a_row_and_lets_one_probe_through() -> None:
    breaker = Breaker()
    for _ in range(5):
        breaker.admit(0)
        breaker.fail(0)

    with pytest.raises(UpstreamBusy) as refusal:
        breaker.admit(1)
    assert refusal.value.retry_after == 4
    breaker.admit(5)
    with pytest.raises(UpstreamBusy):
        breaker.admit(5)
    breaker.succeed()
    breaker.admit(5)

    assert breaker.state == "closed"


def test_four_faults_and_a_success_leave_the_breaker_closed() -> None:
    breaker = Breaker()
    for _ in range(3):
        for _ in range(4):
            breaker.admit(0)
            breaker.fail(0)
        breaker.admit(0)
        breaker.succeed()

    assert breaker.state == "closed"


def test_failed_probes_double_the_pause_up_to_a_minute() -> None:
    breaker = Breaker()
    for _ in range(5):
        breaker.fail(0)
    now, pauses = 0.0, []
    for _ in range(6):
        with pytest.raises(UpstreamBusy) as refusal:
            breaker.admit(now)
        pauses.append(refusal.value.retry_after)
        now += refusal.value.retry_after
        breaker.admit(now)
        breaker.fail(now)

    assert pauses == [5, 10, 20, 40, 60, 60]


def test_an_abandoned_probe_makes_room_for_the_next() -> None:
    breaker = Breaker()
    for _ in range(5):
        breaker.fail(0)
    breaker.admit(5)
    breaker.abandon()

    breaker.admit(5)


def test_a_pause_stops_every_call_until_it_is_over() -> None:
    breaker = Breaker()
    breaker.pause(0, 30)

    with pytest.raises(UpstreamBusy) as refusal:
        breaker.admit(0.5)
    assert refusal.value.retry_after == 30
    breaker.admit(30)


def test_retries_are_a_tenth_of_calls_once_the_reserve_is_spent() -> None:
    budget = RetryBudget()
    while budget.spend():
        pass

    granted = 0
    for _ in range(1000):
        budget.earn()
        granted += budget.spend()

    assert 98 <= granted <= 100
