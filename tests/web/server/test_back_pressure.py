"""Back-pressure by a clock in the hand."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.web.server.back_pressure import BackPressure
from gateway.web.timings import BackPressureTimings

KNOWN, OTHERS = BackPressureTimings().known, BackPressureTimings().others
A_TICK = KNOWN.tick * 1.001
"""Not a rounding error less."""


class HandLoop:
    """An event loop's clock and timers, moved only by `advance`."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._timers: list[tuple[float, Callable[..., None], tuple[Any, ...]]] = []

    def time(self) -> float:
        return self._now

    def call_later(self, seconds: float, call: Callable[..., None], *arguments: Any) -> None:
        self._timers.append((self._now + seconds, call, arguments))

    def advance(self, seconds: float) -> None:
        """The timers that are due run, all as late as a busy loop runs them."""
        self._now += seconds
        due = [timer for timer in self._timers if timer[0] <= self._now]
        self._timers = [timer for timer in self._timers if timer[0] > self._now]
        for _, call, arguments in due:
            call(*arguments)

    @property
    def is_idle(self) -> bool:
        return not self._timers


class Caller:
    """A connection that was refused."""

    def __init__(self, number: int, released: list[int]) -> None:
        self._number = number
        self._released = released

    def release(self) -> None:
        self._released.append(self._number)


class House:
    """Back-pressure, and who was released, in order."""

    def __init__(self) -> None:
        self.loop = HandLoop()
        self.pressure = BackPressure(KNOWN)
        self.released: list[int] = []
        self._number = 0

    def refuse(self, count: int) -> int:
        """So many refusals; returns how many of the callers are held."""
        numbers = range(self._number, self._number + count)
        self._number += count
        callers = [Caller(number, self.released) for number in numbers]
        return sum(self.pressure.holds(caller, self.loop) for caller in callers)  # type: ignore[arg-type]  # all it asks a loop for


@pytest.fixture
def house() -> House:
    return House()


def test_few_refusals_hold_nobody(house: House) -> None:
    for _ in range(100):
        assert house.refuse(KNOWN.each_tick) == 0
        house.loop.advance(A_TICK)

    assert house.loop.is_idle


def test_more_than_a_tick_s_worth_are_held_and_released_in_their_order_at_a_pace(house: House) -> None:
    assert house.refuse(3 * KNOWN.each_tick) == 2 * KNOWN.each_tick

    house.loop.advance(A_TICK)
    assert house.released == list(range(KNOWN.each_tick, 2 * KNOWN.each_tick))

    house.loop.advance(A_TICK)
    assert house.released == list(range(KNOWN.each_tick, 3 * KNOWN.each_tick))
    assert house.loop.is_idle


def test_while_anybody_is_held_nobody_passes_him(house: House) -> None:
    house.refuse(3 * KNOWN.each_tick)
    house.loop.advance(A_TICK)

    assert house.refuse(1) == 1
    house.loop.advance(2 * A_TICK)
    assert house.released[-1] == 3 * KNOWN.each_tick


def test_ticks_that_come_late_do_not_slow_the_pace(house: House) -> None:
    house.refuse(5 * KNOWN.each_tick)

    house.loop.advance(3 * A_TICK)

    assert len(house.released) == 3 * KNOWN.each_tick


def test_nobody_is_held_longer_than_the_longest_pause_however_many_there_are(house: House) -> None:
    held = house.refuse(10_000)

    elapsed = 0.0
    while elapsed < KNOWN.longest_hold + KNOWN.tick:
        house.loop.advance(A_TICK)
        elapsed += KNOWN.tick

    assert len(house.released) == held


def test_after_a_flood_few_refusals_hold_nobody_again(house: House) -> None:
    house.refuse(2 * KNOWN.each_tick)
    for _ in range(2):
        house.loop.advance(A_TICK)

    assert house.refuse(KNOWN.each_tick) == 0


def test_unauthenticated_clients_return_at_their_pace_however_many_there_are_and_however_late_a_tick(
    house: House,
) -> None:
    house.pressure = BackPressure(OTHERS)
    house.refuse(10_000)

    house.loop.advance(60.0)

    assert len(house.released) == OTHERS.each_tick * OTHERS.most_ticks
