"""How a cache learns, without a query, that any gateway or command has committed to a PostgreSQL database.

Triggers in the database (`schema.postgres.sql`) count each transaction that changes what caches hold, note whose it is,
and notify whoever listens. Notifications may be lost, as behind PgBouncer; so the counts are read every `poll` seconds
too.
A count that goes up by one makes the records of the clients noted with it stale, any other count makes all stale. Where
the counts could not be read for `trust` seconds, whatever was read before counts as stale, and is read again or not to
be had.
"""

import asyncio
from collections.abc import Callable, Sequence

import msgspec
import psycopg
import structlog

from gateway.background import Background, Progress
from gateway.store.database import Row, Subject
from gateway.store.postgres.connection import PostgresConnection
from gateway.store.timings import StoreTimings

SUBJECTS: tuple[Subject, ...] = ("keys", "connections")
LISTENER = "database notifications"
COUNTS = "SELECT subject, number, clients FROM changes"

log = structlog.get_logger()


class Change(msgspec.Struct, frozen=True):
    """The newest change of a subject: which one it is, and whose records it makes stale; nobody named: everybody's."""

    subject: Subject
    number: int
    clients: frozenset[int]

    def covers(self, other: "Change") -> bool:
        """Return whether `other` makes nothing stale beyond what this one does, or is older."""
        if self.number != other.number:
            return self.number > other.number
        return not self.clients or (bool(other.clients) and other.clients <= self.clients)


class PostgresWatch:
    """The epochs of what caches hold; `open` first, `close` last."""

    def __init__(
        self,
        connection: PostgresConnection,
        background: Background,
        timings: StoreTimings,
        forget: Callable[[Subject, int], None],
    ) -> None:
        """`forget` is called when records of one client alone are stale: of which subject, and whose."""
        self._connection = connection
        self._background = background
        self._timings = timings
        self._forget = forget
        self._epochs: dict[str, int] = dict.fromkeys(SUBJECTS, 0)
        self._newest: dict[str, Change] = {}
        self._trusted_until = float("-inf")
        self._is_lost = False

    async def open(self) -> None:
        """Begin to listen. Raises psycopg.Error and TimeoutError."""
        self._loop = asyncio.get_running_loop()
        try:
            await self._begin()
        except BaseException:
            await self._connection.close_all()
            raise
        self._listening = self._background.start(LISTENER, self._keep_listening)

    async def close(self) -> None:
        """Stop listening and close the connection."""
        await self._listening.stop()
        await self._connection.close_all()

    def epoch(self, subject: Subject) -> int:
        """Return a number that is new whenever what was read of the subject may be stale."""
        if self._loop.time() > self._trusted_until:
            self.bump()
        return self._epochs[subject]

    def bump(self) -> None:
        """Count whatever was read as stale."""
        for subject in self._epochs:
            self._epochs[subject] += 1

    def learn(self, counts: Sequence[Row]) -> None:
        """Take in the rows of COUNTS, read just now: what was read of a subject whose count is new may be stale."""
        for row in counts:
            change = Change(row["subject"], row["number"], frozenset(row["clients"]))
            if change != self._newest.get(change.subject):
                self._forget_for(change)

    def _hear(self, payload: str) -> None:
        """Take in a notification. Those of one transaction come one by one, and our own when we know already."""
        try:
            change = msgspec.json.decode(payload, type=Change)
        except msgspec.DecodeError:
            self.bump()
            return
        newest = self._newest.get(change.subject)
        if newest is None or not newest.covers(change):
            self._forget_for(change)

    def _forget_for(self, change: Change) -> None:
        """Have forgotten what the change makes stale, and everything if others may have come before it."""
        newest = self._newest.get(change.subject)
        self._newest[change.subject] = change
        if newest is not None and change.clients and change.number - newest.number in (0, 1):
            for client_id in change.clients:
                self._forget(change.subject, client_id)
        else:
            self._epochs[change.subject] += 1

    async def _keep_listening(self, progress: Progress) -> None:
        while True:
            try:
                await self._begin()
                self._note(is_lost=False)
                await self._listen(progress)
            except (psycopg.Error, TimeoutError) as error:
                self._note(is_lost=True, detail=str(error).partition("\n")[0])
                await self._connection.close()
                await asyncio.sleep(self._timings.reconnect_pause)

    async def _begin(self) -> None:
        """Listen, then read the counts, in this order so that no change falls between."""
        is_new = not self._connection.is_open
        await self._connection.connect()
        await self._connection.run("LISTEN gateway_changes", seconds=self._timings.poll)
        await self._poll()
        if is_new:
            # It may be another server, which has not all of the former's changes and has counted others.
            self.bump()

    async def _listen(self, progress: Progress) -> None:
        while True:
            async for notify in self._connection.driver_connection.notifies(timeout=self._timings.poll):
                self._hear(notify.payload)
            await self._poll()
            progress()

    async def _poll(self) -> None:
        asked_at, newest = self._loop.time(), dict(self._newest)
        counts = await self._connection.run(COUNTS, seconds=self._timings.poll)
        # A write of ours may have learned more while this answer was on its way; it is no count that went back.
        self.learn([row for row in counts if not self._has_passed(row, newest.get(row["subject"]))])
        self._trusted_until = asked_at + self._timings.trust

    def _has_passed(self, row: Row, before: Change | None) -> bool:
        now = self._newest.get(row["subject"])
        return now is not None and now is not before and now.number >= row["number"]

    def _note(self, *, is_lost: bool, detail: str = "") -> None:
        """Log a line when the server goes, and one when it is back."""
        if is_lost and not self._is_lost:
            log.warning("database_lost", detail=detail)
        elif self._is_lost and not is_lost:
            log.warning("database_back")
        self._is_lost = is_lost
