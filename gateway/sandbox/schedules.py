"""Run connections at their times. Nothing runs in the background: what is due is started when somebody asks."""

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.sandbox.world import World


@dataclass(frozen=True, slots=True, order=True)
class Due:
    """The next run of a connection, in epoch seconds, and how many seconds later the one after it follows."""

    at: float
    connection_id: str
    period: float


class Schedules:
    """The runs to come, the earliest first."""

    def __init__(self, world: World, clock: Callable[[], float]) -> None:
        self._world = world
        self._clock = clock
        self._due: list[Due] = []

    def add(self, connection_id: str, *, first_at: float, period: float) -> None:
        """Have the connection sync first at a moment, in epoch seconds, then every `period` seconds."""
        heappush(self._due, Due(first_at, connection_id, period))

    def run_due(self) -> None:
        """Start every run whose time has come, at the time it had, however late it is asked for."""
        now = self._clock()
        while self._due and self._due[0].at <= now:
            due = heappop(self._due)
            self._run(due, now)
            self.add(due.connection_id, first_at=due.at + due.period, period=due.period)

    def _run(self, due: Due, now: float) -> None:
        connection = self._world.connections.get(due.connection_id)
        if connection is None or connection.status != "active":
            return
        # A time that comes while the connection is busy is passed over.
        if self._world.history.active(due.connection_id) is None:
            self._world.trigger(due.connection_id, "sync", late_seconds=due.at - now)


class SchedulesMiddleware:
    """Starts what is due before a request is answered."""

    def __init__(self, app: ASGIApp, *, schedules: Schedules) -> None:
        self.app = app
        self.schedules = schedules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.schedules.run_due()
        await self.app(scope, receive, send)
