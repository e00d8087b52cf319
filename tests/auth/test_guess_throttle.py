"""The throttle on failed authentication: moments in, waits out."""

import tracemalloc
from hashlib import sha256

import pytest

from gateway.auth.guess_throttle import FREE_FAILURES, MOST_ADDRESSES, AuthThrottle, block_of
from gateway.auth.timings import AuthTimings

LONGEST_WAIT = AuthTimings().lookup_wait
GUESSER = "203.0.113.9"
GOOD = sha256(b"good").digest()


def guess(number: int) -> bytes:
    return number.to_bytes(32, "big")


def throttle_of_a_guesser(address: str = GUESSER, *, now: float = 0.0) -> AuthThrottle:
    throttle = AuthThrottle(longest_wait=LONGEST_WAIT)
    for number in range(FREE_FAILURES):
        assert throttle.wait_seconds(address, guess(number), now) == 0
        throttle.note_bad(address, guess(number), now)
    return throttle


def lookups_of(throttle: AuthThrottle, *, guesses: int, seconds: float) -> int:
    """How many of so many new guesses, evenly spread, are looked up."""
    lookups = 0
    for number in range(guesses):
        now = number * seconds / guesses
        if throttle.wait_seconds(GUESSER, guess(1000 + number), now) is not None:
            lookups += 1
            throttle.note_bad(GUESSER, guess(1000 + number), now)
    return lookups


def test_guesses_cost_few_lookups_however_many_they_are() -> None:
    throttle = throttle_of_a_guesser()

    lookups = lookups_of(throttle, guesses=100_000, seconds=50)

    assert lookups <= 50 * 10 + 10
    assert lookups <= 0.01 * 100_000


def test_nobody_waits_longer_than_the_bound() -> None:
    throttle = throttle_of_a_guesser()
    waits = [throttle.wait_seconds(GUESSER, guess(1000 + number), 0) for number in range(20)]

    assert waits[:3] == [0, pytest.approx(0.1), pytest.approx(0.2)]
    assert max(wait for wait in waits if wait is not None) <= LONGEST_WAIT
    assert waits[-1] is None


def test_a_key_seen_to_be_good_never_waits() -> None:
    throttle = AuthThrottle(longest_wait=LONGEST_WAIT)
    throttle.note_good(GOOD)
    for number in range(1000):
        throttle.note_bad(GUESSER, guess(number), 0)
        throttle.wait_seconds(GUESSER, guess(5000 + number), 0)

    assert throttle.wait_seconds(GUESSER, GOOD, 0) == 0


def test_a_good_key_not_seen_yet_gets_in_at_its_second_try_amid_guesses() -> None:
    throttle = throttle_of_a_guesser()
    lookups_of(throttle, guesses=2000, seconds=1)
    assert throttle.wait_seconds(GUESSER, GOOD, 1) is None
    for number in range(2000):
        throttle.wait_seconds(GUESSER, guess(50_000 + number), 2)
    assert throttle.wait_seconds(GUESSER, guess(99_999), 2) is None

    wait = throttle.wait_seconds(GUESSER, GOOD, 2)

    assert wait is not None
    assert wait <= LONGEST_WAIT


def test_whether_a_key_is_refused_again_is_told_without_a_try() -> None:
    throttle = throttle_of_a_guesser()
    told, waits = [], []
    for _ in range(60):
        told.append(throttle.refuses(GUESSER, guess(1), 0))
        waits.append(throttle.wait_seconds(GUESSER, guess(1), 0))

    first_refusal = waits.index(None)
    assert not any(told[: first_refusal + 1])
    # What was told is what came of trying, each time from then on.
    assert told[first_refusal + 1 :] == [wait is None for wait in waits[first_refusal + 1 :]]
    assert True in told
    assert not throttle.refuses("198.51.100.1", guess(1), 0)
    assert not throttle.refuses(GUESSER, guess(1), 90)


def test_a_key_that_is_good_no_more_is_forgotten() -> None:
    throttle = AuthThrottle(longest_wait=LONGEST_WAIT)
    throttle.note_good(GOOD)
    throttle.note_bad(GUESSER, GOOD, 0)
    throttle = throttle_of_a_guesser()
    for number in range(20):
        throttle.wait_seconds(GUESSER, guess(1000 + number), 0)

    assert throttle.wait_seconds(GUESSER, GOOD, 0) is None


def test_other_addresses_do_not_feel_it() -> None:
    throttle = throttle_of_a_guesser()
    lookups_of(throttle, guesses=2000, seconds=1)

    assert throttle.wait_seconds("198.51.100.1", guess(1), 1) == 0


def test_after_a_minute_of_rest_an_address_is_free_again() -> None:
    throttle = throttle_of_a_guesser()

    assert throttle.wait_seconds(GUESSER, guess(1), 61) == 0
    assert throttle.wait_seconds(GUESSER, guess(2), 61) == 0


def test_time_that_runs_backwards_frees_nobody() -> None:
    throttle = throttle_of_a_guesser(now=100.0)
    for number in range(20):
        throttle.wait_seconds(GUESSER, guess(number), 50.0)

    assert throttle.wait_seconds(GUESSER, guess(99), 50.0) is None


def test_memory_is_bounded() -> None:
    throttle = AuthThrottle(longest_wait=LONGEST_WAIT)
    tracemalloc.start()
    try:
        for number in range(3 * MOST_ADDRESSES):
            address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
            throttle.note_good(guess(number))
            throttle.note_bad(address, guess(number + 10**6), 0)
        for number in range(3 * MOST_ADDRESSES):
            throttle.wait_seconds(GUESSER, guess(10**7 + number), 0)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert size < 10_000_000


def test_a_block_is_an_ipv4_address_or_the_network_of_an_ipv6_one() -> None:
    blocks = {
        "192.0.2.1": "192.0.2.1",
        "2001:db8:1:2:3:4:5:6": "20010db800010002",
        "2001:db8:1:2::": "20010db800010002",
        "::ffff:192.0.2.1": "192.0.2.1",
        "fe80::1%eth0": "fe80000000000000",
        "": "",
        "no:address" * 50: ("no:address" * 50)[:64],
    }

    assert {address: block_of(address) for address in blocks} == blocks
