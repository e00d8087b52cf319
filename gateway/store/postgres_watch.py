"""How a cache learns, without a query, that any gateway or command has committed to a PostgreSQL database.

Triggers in the database count each change of what caches hold and notify whoever listens (`postgres.sql`).
Notifications may be lost, as behind PgBouncer; so the counts are read every POLL_SECONDS too. Where they could not be
read for TRUST_SECONDS, whatever was read before counts as stale, and is read again or not to be had.
"""

import asyncio
from collections.abc import Iterable

import psycopg
import structlog

from gateway.store.database import Row, Subject
from gateway.store.postgres_session import Session

POLL_SECONDS = 2.0
TRUST_SECONDS = 5.0
PAUSE_SECONDS = 0.25
"""Between attempts to reach a server that is away."""
SUBJECTS: tuple[Subject, ...] = ("keys", "connections")
EVERYTHING = "*"

log = structlog.get_logger()


class PostgresWatch:
    """`open` first, `close` last."""

    question = "SELECT subject, number FROM changes"

    def __init__(self, session: Session) -> None:
        self._session = session
        self._epochs: dict[str, int] = dict.fromkeys(SUBJECTS, 0)
        self._counts: dict[str, int] = {}
        self._trusted_until = float("-inf")
        self._is_lost = False

    async def open(self) -> None:
        """Raises psycopg.Error and TimeoutError."""
        self._loop = asyncio.get_running_loop()
        await self._begin()
        self._listening = asyncio.create_task(self._keep_listening())

    async def close(self) -> None:
        self._listening.cancel()
        await asyncio.wait({self._listening})
        await self._session.close_all()

    def epoch(self, subject: Subject) -> int:
        if self._loop.time() > self._trusted_until:
            self.bump()
        return self._epochs[subject]

    def bump(self, subject: str = EVERYTHING) -> None:
        """What was read of the subject may be stale."""
        for each in self._epochs:
            if subject in {each, EVERYTHING}:
                self._epochs[each] += 1

    def learn(self, rows: Iterable[Row]) -> None:
        """What `question` was answered just now."""
        for row in rows:
            if self._counts.get(row["subject"]) != row["number"]:
                self._counts[row["subject"]] = row["number"]
                self.bump(row["subject"])

    async def _keep_listening(self) -> None:
        while True:
            try:
                await self._begin()
                self._note(is_lost=False)
                await self._listen()
            except (psycopg.Error, TimeoutError) as error:
                self._note(is_lost=True, detail=str(error).partition("\n")[0])
                await self._session.close()
                await asyncio.sleep(PAUSE_SECONDS)

    async def _begin(self) -> None:
        """Listening begins before the counts are read, so that no change falls between."""
        await self._session.connect()
        await self._session.run("LISTEN gateway_changes", seconds=POLL_SECONDS)
        await self._poll()

    async def _listen(self) -> None:
        while True:
            async for notify in self._session.connection.notifies(timeout=POLL_SECONDS):
                self.bump(notify.payload)
            await self._poll()

    async def _poll(self) -> None:
        asked_at = self._loop.time()
        self.learn(await self._session.run(self.question, seconds=POLL_SECONDS))
        self._trusted_until = asked_at + TRUST_SECONDS

    def _note(self, *, is_lost: bool, detail: str = "") -> None:
        """A line when the server goes, and one when it is back."""
        if is_lost and not self._is_lost:
            log.warning("database_lost", detail=detail)
        elif self._is_lost and not is_lost:
            log.warning("database_back")
        self._is_lost = is_lost
