"""When a connection is ended for idleness or for not being read, told by a clock that a hand turns."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from gateway.web.server.idle_timeout import IdleTimeout
from gateway.web.server.limits import ConnectionLimits

IDLE, UNREAD = 75.0, 30.0


class Call:
    """What was asked to be called later."""

    def __init__(self, at: float, call: Callable[[], None]) -> None:
        self.at = at
        self.call = call
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class HandLoop:
    """As much of an event loop as a timer needs."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[Call] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[[], None]) -> Call:
        self.calls.append(Call(self.now + seconds, call))
        return self.calls[-1]

    def go_to(self, moment: float) -> None:
        while due := [call for call in self.calls if not call.is_cancelled and call.at <= moment]:
            first = min(due, key=lambda call: call.at)
            self.calls.remove(first)
            self.now = first.at
            first.call()
        self.now = moment


class Transport:
    """As much of a transport as is looked at."""

    def __init__(self) -> None:
        self.unread = 0
        self.end = ""

    def get_write_buffer_size(self) -> int:
        return self.unread

    def is_closing(self) -> bool:
        return bool(self.end)

    def close(self) -> None:
        self.end = "closed"

    def abort(self) -> None:
        self.end = "aborted"


class Connection:
    """A watch with all around it."""

    def __init__(self) -> None:
        self.loop, self.transport, self.is_busy = HandLoop(), Transport(), False
        limits = ConnectionLimits(unread_seconds=UNREAD)
        loop = cast("asyncio.AbstractEventLoop", self.loop)
        self.watch = IdleTimeout(loop, idle_seconds=IDLE, limits=limits, is_busy=lambda: self.is_busy)
        self.watch.begin(cast("Any", self.transport))

    def answer(self, unread: int = 0) -> None:
        self.transport.unread += unread
        self.watch.note_answer(self.transport.unread)

    def end_at(self, moment: float) -> str:
        self.loop.go_to(moment)
        return self.transport.end


@pytest.fixture
def connection() -> Connection:
    return Connection()


def test_an_idle_connection_is_closed_as_long_after_its_last_answer_as_is_set(connection: Connection) -> None:
    connection.answer()
    connection.loop.go_to(74.0)
    connection.answer()

    assert [connection.end_at(moment) for moment in (74.0 + IDLE - 1, 74.0 + IDLE + 1)] == ["", "closed"]


def test_one_that_is_busy_is_watched_again_from_its_next_answer_on(connection: Connection) -> None:
    connection.answer()
    connection.is_busy = True
    assert connection.end_at(500.0) == ""

    connection.is_busy = False
    connection.answer()

    assert [connection.end_at(moment) for moment in (500.0 + IDLE - 1, 500.0 + IDLE + 1)] == ["", "closed"]


def test_an_answer_that_is_not_read_in_time_ends_the_connection(connection: Connection) -> None:
    connection.answer()
    connection.loop.go_to(UNREAD - 1)
    connection.answer(unread=100)

    assert connection.end_at(2 * UNREAD - 2) == "", "the answer has all its time, whenever the one before was given"
    assert connection.end_at(2 * UNREAD) == "aborted"


def test_whoever_reads_a_little_each_time_is_let_read(connection: Connection) -> None:
    connection.answer(unread=100)
    for look in range(1, 50):
        connection.transport.unread -= 1
        assert connection.end_at(look * UNREAD + 1) == ""

    assert connection.end_at(51 * UNREAD) == "aborted"


def test_one_timer_serves_any_number_of_answers(connection: Connection) -> None:
    for _ in range(1000):
        connection.answer()

    assert len(connection.loop.calls) == 1


def test_nothing_is_due_after_the_end(connection: Connection) -> None:
    connection.answer(unread=1)
    connection.watch.expect_reading()
    connection.watch.stop()

    assert connection.end_at(1000.0) == ""
