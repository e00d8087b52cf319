"""How a cache learns, without a query, that any gateway or command has committed to a PostgreSQL database.

Triggers in the database count each change of what caches hold and notify whoever listens (`schema.sql`).
Notifications may be lost, as behind PgBouncer; so the counts are read every `poll` seconds too. Where they could not be
read for `trust` seconds, whatever was read before counts as stale, and is read again or not to be had.
"""

import asyncio
from collections.abc import Sequence

import psycopg
import structlog

from gateway.background import Background, Progress
from gateway.store.database import Row, Subject
from gateway.store.postgres.session import DatabaseSession
from gateway.store.timings import StoreTimings

SUBJECTS: tuple[Subject, ...] = ("keys", "connections")
LISTENER = "database notifications"
COUNTS = "SELECT subject, number FROM changes"

log = structlog.get_logger()


class PostgresWatch:
    """The epochs of what caches hold; `open` first, `close` last."""

    def __init__(self, session: DatabaseSession, background: Background, timings: StoreTimings) -> None:
        self._session = session
        self._background = background
        self._timings = timings
        self._epochs: dict[str, int] = dict.fromkeys(SUBJECTS, 0)
        self._counts: dict[str, int] = {}
        self._trusted_until = float("-inf")
        self._is_lost = False

    async def open(self) -> None:
        """Begin to listen. Raises psycopg.Error and TimeoutError."""
        self._loop = asyncio.get_running_loop()
        try:
            await self._begin()
        except BaseException:
            await self._session.close_all()
            raise
        self._listening = self._background.start(LISTENER, self._keep_listening)

    async def close(self) -> None:
        """Stop listening and close the session."""
        await self._listening.stop()
        await self._session.close_all()

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
            if self._counts.get(row["subject"]) != row["number"]:
                self._epochs[row["subject"]] += 1
        self._counts |= {row["subject"]: row["number"] for row in counts}

    def _hear(self, payload: str) -> None:
        """Take in a notification. Those of one transaction come one by one, and our own when we know already."""
        subject, _, number = payload.partition(" ")
        if subject in self._epochs and number.isdigit() and int(number) > self._counts.get(subject, -1):
            self._counts[subject] = int(number)
            self._epochs[subject] += 1

    async def _keep_listening(self, progress: Progress) -> None:
        while True:
            try:
                await self._begin()
                self._note(is_lost=False)
                await self._listen(progress)
            except (psycopg.Error, TimeoutError) as error:
                self._note(is_lost=True, detail=str(error).partition("\n")[0])
                await self._session.close()
                await asyncio.sleep(self._timings.reconnect_pause)

    async def _begin(self) -> None:
        """Listen, then read the counts, in this order so that no change falls between."""
        await self._session.connect()
        await self._session.run("LISTEN gateway_changes", seconds=self._timings.poll)
        await self._poll()

    async def _listen(self, progress: Progress) -> None:
        while True:
            async for notify in self._session.connection.notifies(timeout=self._timings.poll):
                self._hear(notify.payload)
            await self._poll()
            progress()

    async def _poll(self) -> None:
        asked_at = self._loop.time()
        self.learn(await self._session.run(COUNTS, seconds=self._timings.poll))
        self._trusted_until = asked_at + self._timings.trust

    def _note(self, *, is_lost: bool, detail: str = "") -> None:
        """Log a line when the server goes, and one when it is back."""
        if is_lost and not self._is_lost:
            log.warning("database_lost", detail=detail)
        elif self._is_lost and not is_lost:
            log.warning("database_back")
        self._is_lost = is_lost
