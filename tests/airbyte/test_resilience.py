"""Breakers and RetryBudget, alone."""

import pytest

from gateway.airbyte.bulkhead import Caller, OwnCalls
from gateway.airbyte.resilience import Breaker, Breakers, RetryBudget
from gateway.airbyte.timings import BreakerTimings
from gateway.errors import UpstreamBusy

A, B, C = 1, 2, 3


def test_the_breaker_opens_after_five_faults_in_a_row_and_lets_one_probe_through() -> None:
    breaker = Breaker(BreakerTimings())
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
    breaker = Breaker(BreakerTimings())
    for _ in range(3):
        for _ in range(4):
            breaker.admit(0)
            breaker.fail(0)
        breaker.admit(0)
        breaker.succeed()

    assert breaker.state == "closed"


def test_failed_probes_double_the_pause_up_to_a_minute() -> None:
    breaker = Breaker(BreakerTimings())
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
    breaker = Breaker(BreakerTimings())
    for _ in range(5):
        breaker.fail(0)
    breaker.admit(5)
    breaker.abandon()

    breaker.admit(5)


def test_a_pause_stops_every_call_until_it_is_over() -> None:
    breaker = Breaker(BreakerTimings())
    breaker.pause(0, 30)

    with pytest.raises(UpstreamBusy) as refusal:
        breaker.admit(0.5)
    assert refusal.value.retry_after == 30
    breaker.admit(30)


def refused(breakers: Breakers, caller: Caller) -> bool:
    try:
        breakers.admit(0, caller)
    except UpstreamBusy:
        return True
    breakers.abandon(caller)
    return False


def test_what_only_one_clients_calls_tell_of_stops_that_client_alone() -> None:
    breakers = Breakers(BreakerTimings())
    for _ in range(5):
        breakers.admit(0, A)
        breakers.doubt(0, A)

    assert [refused(breakers, caller) for caller in (A, B, OwnCalls.ROUTINE)] == [True, False, False]
    assert breakers.state == "closed"


def test_an_answer_to_another_client_does_not_admit_one_that_is_stopped() -> None:
    breakers = Breakers(BreakerTimings())
    for _ in range(5):
        breakers.doubt(0, A)
    breakers.succeed(B)

    assert refused(breakers, A)
    breakers.admit(5, A)
    breakers.succeed(A)
    assert not refused(breakers, A)


def test_the_gateways_own_calls_about_single_ones_stop_nobody() -> None:
    breakers = Breakers(BreakerTimings())
    for _ in range(50):
        breakers.admit(0, OwnCalls.ROUTINE)
        breakers.doubt(0, OwnCalls.ROUTINE)

    assert not refused(breakers, OwnCalls.ROUTINE)


def test_faults_of_airbyte_as_a_whole_stop_everybody() -> None:
    breakers = Breakers(BreakerTimings())
    for caller in (A, B, A, OwnCalls.ROUTINE, B):
        breakers.admit(0, caller)
        breakers.fail(0, caller, reached=True)

    assert [refused(breakers, caller) for caller in (A, B, OwnCalls.ROUTINE)] == [True, True, True]


def test_an_airbyte_that_is_not_even_reached_stops_everybody() -> None:
    breakers = Breakers(BreakerTimings())
    for _ in range(5):
        breakers.admit(0, A)
        breakers.fail(0, A, reached=False)

    assert [refused(breakers, caller) for caller in (A, B, OwnCalls.ROUTINE)] == [True, True, True]


def test_cut_connections_and_bad_gateways_of_two_clients_stop_nobody_else() -> None:
    """Each has a connection that Airbyte cannot serve, and asks for it again and again."""
    breakers = Breakers(BreakerTimings())
    for number in range(40):
        caller = (A, B)[number % 2]
        if not refused(breakers, caller):
            breakers.fail(0, caller, reached=True)

    assert [refused(breakers, caller) for caller in (A, B, C, OwnCalls.ROUTINE)] == [True, True, False, False]
    assert breakers.state == "closed"


def test_a_connection_that_its_client_and_the_gateway_meet_faults_at_stops_nobody_else() -> None:
    """A client's list, the gateway's check of its last sync and the reading of its days: one trouble, not three."""
    breakers = Breakers(BreakerTimings())
    for _ in range(3):
        for caller in (A, OwnCalls.ROUTINE, OwnCalls.HISTORY):
            breakers.fail(0, caller, reached=True)

    assert [refused(breakers, caller) for caller in (B, OwnCalls.ROUTINE)] == [False, False]


def test_late_answers_about_one_clients_connection_stop_nobody_else() -> None:
    breakers = Breakers(BreakerTimings(), opens_when_late=True)
    for caller in (A, OwnCalls.ROUTINE, OwnCalls.HISTORY):
        breakers.late(0, caller)

    assert [refused(breakers, caller) for caller in (A, B)] == [True, False]


def test_a_stopped_clients_probe_that_the_whole_refuses_makes_room_for_the_next() -> None:
    breakers = Breakers(BreakerTimings())
    for _ in range(5):
        breakers.doubt(0, A)
    breakers.pause(0, 10, B)
    with pytest.raises(UpstreamBusy):
        breakers.admit(5, A)

    breakers.admit(10, A)


def test_retries_are_a_tenth_of_calls_once_the_reserve_is_spent() -> None:
    budget = RetryBudget()
    callers = range(100)
    while any(budget.spend(caller) for caller in callers):
        pass

    granted = 0
    for number in range(1000):
        budget.earn(callers[number % 5])
        granted += budget.spend(callers[number % 5])

    assert 98 <= granted <= 100


def test_a_caller_whose_calls_fail_again_and_again_leaves_others_their_retries() -> None:
    budget = RetryBudget()
    for _ in range(1000):
        budget.earn(A)
        budget.spend(A)

    assert [budget.spend(caller) for caller in (B, B, OwnCalls.ROUTINE)] == [True, True, True]
