"""Own every background task: log what ends one, start it again with back-off, tell which have not run for a while."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

Progress = Callable[[], None]
"""What work calls after each round that went well."""
Work = Callable[[Progress], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class RestartTimings:
    """Seconds between the end of a task and its next start, and how long until one counts as well or as stopped."""

    first_pause: float = 0.5
    longest_pause: float = 30.0
    steady: float = 10.0
    """A task that has run for so long after a restart is well again, as is one that reports progress."""
    silent: float = 10.0
    """A vital task that reports no progress for so long counts as stopped, whether it failed or hangs."""


@dataclass(frozen=True, slots=True)
class TaskFailure:
    """A task ended by an exception; it starts again in `pause_seconds`."""

    task: str
    error: BaseException
    pause_seconds: float


class BackgroundTask:
    """One task: it runs until its work returns or it is stopped."""

    def __init__(
        self,
        work: Work,
        *,
        name: str,
        is_vital: bool,
        timings: RestartTimings,
        tell: Callable[[TaskFailure], None],
        failures: int,
    ) -> None:
        """Start at once. `failures` is how often the tasks of this name before it have failed."""
        self.name = name
        self.is_vital = is_vital
        self.failures = failures
        self._is_closed = False
        self._work = work
        self._timings = timings
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._began_at = self._progress_at = self._loop.time()
        self._has_failed = self._is_pausing = False
        self._task = asyncio.create_task(self._run(), name=name)

    @property
    def is_failing(self) -> bool:
        """Whether it waits for its restart, or was restarted and has not shown yet that it is well."""
        is_steady = not self._is_pausing and self._loop.time() - self._began_at >= self._timings.steady
        return self._has_failed and not is_steady

    @property
    def is_stopped(self) -> bool:
        """Whether it is vital and does not run: it has ended by itself, or reported no progress for too long."""
        silence = self._loop.time() - self._progress_at
        is_down = self._task.done() or silence > self._timings.silent
        return self.is_vital and not self._is_closed and is_down

    async def stop(self) -> None:
        """Cancel the work and wait for its end."""
        self._is_closed = True
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        pause = self._timings.first_pause
        while True:
            self._began_at = self._loop.time()
            self._is_pausing = False
            try:
                await self._work(self._report_progress)
            except (Exception, asyncio.CancelledError) as error:
                if self._is_being_stopped():
                    raise
                if not self.is_failing:
                    pause = self._timings.first_pause
                self._has_failed = self._is_pausing = True
                self.failures += 1
                with suppress(
                    Exception
                ):  # Telling may fail as well, as on a full disk; the task starts again all the same.
                    self._tell(TaskFailure(self.name, error, pause))
            else:
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._timings.longest_pause)

    def _is_being_stopped(self) -> bool:
        """Tell our own `stop` from a CancelledError that the work raised by itself."""
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0

    def _report_progress(self) -> None:
        self._progress_at = self._loop.time()
        self._has_failed = False


class Background:
    """All background tasks of one gateway or command, by name."""

    def __init__(self, tell: Callable[[TaskFailure], None], *, timings: RestartTimings | None = None) -> None:
        """`tell` is called with each failure, to log it."""
        self._tell = tell
        self._timings = timings or RestartTimings()
        self._tasks: dict[str, BackgroundTask] = {}

    @property
    def tasks(self) -> tuple[BackgroundTask, ...]:
        """Every task that was started, in that order; one name has one task, the latest."""
        return tuple(self._tasks.values())

    def start(self, name: str, work: Work, *, is_vital: bool = False) -> BackgroundTask:
        """Start work that runs until it returns or is stopped; after any exception it starts again.

        `is_vital`: without it answers are wrong, so it must report progress or the gateway is not ready.
        """
        before = self._tasks.get(name)
        task = BackgroundTask(
            work,
            name=name,
            is_vital=is_vital,
            timings=self._timings,
            tell=self._tell,
            failures=before.failures if before else 0,
        )
        self._tasks[name] = task
        return task

    async def close(self) -> None:
        """Stop what its owner has not stopped."""
        for task in self._tasks.values():
            await task.stop()
