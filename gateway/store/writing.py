"""What both kinds of database do around their work: finish what was begun, and let writes that wait share a commit.

A disk takes a millisecond or more for each sync, whatever it syncs. So the units that wait when a transaction begins,
or come while it runs, become parts of that one (group commit). Each is undone alone if it fails, and nobody is answered
before the common commit.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Generic, Protocol

from gateway.errors import StorageUnavailable
from gateway.store.database import T, Unit
from gateway.store.health import StorageHealth, unavailable
from gateway.store.timings import StoreTimings

MOST_UNITS = 64
"""In one transaction."""


class SharedTransaction(Protocol):
    """One transaction of several units. Every method raises StorageUnavailable."""

    @property
    def is_open(self) -> bool:
        """Whether it still holds what was done in it: after a full disk all of it may be gone."""

    @property
    def has_changes(self) -> bool:
        """Whether anything is to be written; without, a commit succeeds on a full disk too."""

    async def begin(self, seconds: float) -> None:
        """Begin, waiting at most `seconds` for other processes."""

    async def run(self, unit: Unit[T], *, housekeeping: bool, is_first: bool) -> T:
        """Run a unit. One that raises is undone, but for the first: then there is nothing else to keep."""

    async def commit(self) -> None:
        """Commit all units."""

    async def rollback(self) -> None:
        """Undo all units. Raises nothing: what cannot be undone is undone when the connection is closed."""


class Write(Generic[T]):
    """A unit that waits, and then its result or its failure."""

    def __init__(
        self, unit: Unit[T], *, housekeeping: bool, committed: Callable[[], None] | None, deadline: float
    ) -> None:
        """`deadline`, by the event loop's clock: until then it waits for the write lock."""
        self.unit = unit
        self.housekeeping = housekeeping
        self.answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        # A caller that was cancelled no longer asks; asking here keeps asyncio from complaining.
        self.answer.add_done_callback(lambda answer: answer.cancelled() or answer.exception())
        self.deadline = deadline
        self._committed = committed
        self._result: T | None = None
        self._failure: Exception | None = None

    async def run(self, transaction: SharedTransaction, *, is_first: bool) -> None:
        """Run the unit and keep what came of it. Raises what ends the transaction, StorageUnavailable if it is lost."""
        try:
            self._result = await transaction.run(self.unit, housekeeping=self.housekeeping, is_first=is_first)
        except Exception as error:
            if is_first:
                raise
            self._failure = error
        if not transaction.is_open:
            raise StorageUnavailable(detail="the transaction was lost") from self._failure

    def tell(self) -> None:
        """Answer the caller, after the commit; before that whoever must know of it."""
        if self._failure is not None:
            self.fail(self._failure)
            return
        try:
            if self._committed is not None:
                self._committed()
        except Exception as error:  # noqa: BLE001 - for the caller, whatever it is
            self.fail(error)
        else:
            if not self.answer.done():
                self.answer.set_result(self._result)  # type: ignore[arg-type]  # None only where T is

    def fail(self, failure: BaseException) -> None:
        """Answer the caller with the failure of the whole."""
        if not self.answer.done():
            self.answer.set_exception(failure)


class Writing:
    """The work of one process on one database, which ends whole. For one event loop."""

    def __init__(
        self, transaction: Callable[[], SharedTransaction], *, timings: StoreTimings, health: StorageHealth
    ) -> None:
        """`health` is told how writes fare."""
        self._health = health
        self._new_transaction = transaction
        self._timings = timings
        self._waiting: deque[Write[Any]] = deque()
        self._writer: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def write(self, unit: Unit[T], *, housekeeping: bool, committed: Callable[[], None] | None) -> T:
        """Run the unit in a transaction to its end, even when the caller is cancelled. Raises StorageUnavailable."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timings.write_lock
        write = Write(unit, housekeeping=housekeeping, committed=committed, deadline=deadline)
        timer = loop.call_at(write.deadline, self._give_up, write)
        self._waiting.append(write)
        if self._writer is None:
            # What the units log must not carry the context of whichever request came first.
            self._writer = loop.create_task(self._write_all(), context=Context())
        try:
            with self._health.counting("write"):
                return await asyncio.shield(write.answer)
        finally:
            timer.cancel()

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` to its end, even when the caller is cancelled."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Wait for what is under way."""
        under_way = self._tasks | ({self._writer} if self._writer else set())
        if under_way:
            await asyncio.wait(under_way)

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                await self._write_some()
        finally:
            self._writer = None

    async def _write_some(self) -> None:
        """Write what waits in one transaction, and answer those whose units it held."""
        transaction = self._new_transaction()
        first = self._waiting.popleft()
        taken = [first]
        try:
            loop = asyncio.get_running_loop()
            await transaction.begin(max(self._timings.least_lock_wait, first.deadline - loop.time()))
            self._health.note_lock(loop.time() - first.deadline + self._timings.write_lock)
            await first.run(transaction, is_first=True)
            await self._run_others(transaction, taken)
            await transaction.commit()
        except BaseException as error:
            await transaction.rollback()
            for write in taken:
                write.fail(error)
            if not isinstance(error, Exception):
                raise
        else:
            if transaction.has_changes:
                self._health.note_written()
            for write in taken:
                write.tell()

    async def _run_others(self, transaction: SharedTransaction, taken: list[Write[Any]]) -> None:
        """Let those that wait join the transaction."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._timings.joining
        while self._waiting and len(taken) < MOST_UNITS and loop.time() < end:
            write = self._waiting.popleft()
            taken.append(write)
            await write.run(transaction, is_first=False)

    def _give_up(self, write: Write[Any]) -> None:
        """Answer one that waited too long for the transactions before it."""
        if write in self._waiting:
            self._waiting.remove(write)
            write.fail(unavailable("timeout", f"no write lock within {self._timings.write_lock} s"))

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # As for a write's answer.
            task.exception()
