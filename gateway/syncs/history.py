"""How the syncs of the last weeks went, day by day: read from Airbyte's job lists when somebody looks, and kept.

Airbyte has a list for each connection and no sums, so hundreds of connections cannot be asked while a page waits.
One background task asks, a call at a time, for what is new since it last did; pages show what is known by then.
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice

import msgspec
import structlog
from cachetools import TTLCache

from gateway.airbyte import MAX_JOBS, Airbyte
from gateway.errors import GatewayError, UpstreamInvalid
from gateway.models import Client, Connection, Job, SyncDay
from gateway.single_flight import SingleFlight
from gateway.store import Store
from gateway.times import Clock, format_time, parse_time

DAYS = 30
READ_EVERY_SECONDS = 600.0
RETRY_SECONDS = 60.0
"""A broken Airbyte is asked no more often."""
WAIT_SECONDS = 1.0
"""For a page that would otherwise have nothing to show."""
OVERLAP = timedelta(minutes=1)
"""Read again each time: Airbyte's clock is known to a second, and a job may show a little after it was created."""
UNFINISHED_FOR = timedelta(days=3)
"""A job that takes longer is no longer waited for: every reading would begin with its day."""
MAX_PAGES = 10
"""Of one connection, before it is the next one's turn."""
MOST_WAITING = 500
MOST_REMEMBERED = 100_000
CALLER = "sync history"
"""Whose share of Airbyte's places the calls take; no client can be called so."""
DAY = timedelta(days=1)
NEVER = datetime.min.replace(tzinfo=UTC)

log = structlog.get_logger()

News = tuple[int | None, str | None]
"""Id and status of a connection's last sync: while they are the same, so are its days."""


class History(msgspec.Struct, frozen=True):
    """What is known. `is_reading`: soon there will be more; `is_stale`: Airbyte could not be asked."""

    days: dict[str, dict[str, SyncDay]]
    """By Airbyte connection and day; a connection that was never read is missing."""
    is_reading: bool
    is_stale: bool


class SyncHistory:
    """Pages call `of`; nothing happens when nobody looks."""

    def __init__(self, store: Store, airbyte: Airbyte, clock: Clock) -> None:
        self._days = store.sync_days
        self._airbyte = airbyte
        self._clock = clock
        self._flight: SingleFlight[str, None] = SingleFlight()
        self._waiting: dict[str, News] = {}
        """By Airbyte id, in the order of their turns."""
        self._read: TTLCache[str, News] = TTLCache(MOST_REMEMBERED, READ_EVERY_SECONDS, timer=clock.monotonic)
        """What was read not long ago, and the news of that time."""
        self._failed_at = float("-inf")

    async def of(self, client: Client, connections: Sequence[Connection]) -> History:
        """The last `DAYS` days of the client's `connections`; what is old is read anew in the background."""
        news = {each.airbyte_id: (each.last_job_id, each.last_sync_status) for each in connections if each.airbyte_id}
        due = self._due(news)
        known = await self._days.read_upto(news)
        if due and not self._is_failing:
            self._queue(due)
            flight = self._flight.start(CALLER, self._read_waiting)
            if due.keys() - known.keys():
                await asyncio.wait({flight}, timeout=WAIT_SECONDS)
                known = await self._days.read_upto(news)
        days: dict[str, dict[str, SyncDay]] = {airbyte_id: {} for airbyte_id in known}
        for day in await self._days.of_client(client.id, known, since=_day(self._clock.now() - (DAYS - 1) * DAY)):
            days[day.airbyte_id][day.day] = day
        return History(
            days, is_reading=bool(self._due(news)) and not self._is_failing, is_stale=bool(due) and self._is_failing
        )

    def _queue(self, due: dict[str, News]) -> None:
        """Whoever looks now is served first, of that what has not waited yet; whatever waits keeps its order."""
        new = {airbyte_id: news for airbyte_id, news in due.items() if airbyte_id not in self._waiting}
        looked_at = {airbyte_id: due[airbyte_id] for airbyte_id in self._waiting if airbyte_id in due}
        self._waiting = dict(islice({**new, **looked_at, **self._waiting}.items(), MOST_WAITING))

    def _due(self, news: dict[str, News]) -> dict[str, News]:
        return {airbyte_id: each for airbyte_id, each in news.items() if self._read.get(airbyte_id) != each}

    @property
    def _is_failing(self) -> bool:
        return self._clock.monotonic() - self._failed_at < RETRY_SECONDS

    async def close(self) -> None:
        await self._flight.close(cancel=True)

    async def _read_waiting(self) -> None:
        while self._waiting:
            airbyte_id, news = next(iter(self._waiting.items()))
            try:
                is_complete = await self._read_on(airbyte_id)
            except UpstreamInvalid as error:
                # It is this connection's answer that cannot be used; the others' may.
                log.warning("sync_history_not_read", airbyte_id=airbyte_id, detail=error.detail)
                is_complete = True
            except GatewayError as error:
                log.warning("sync_history_not_read", error=str(error), detail=getattr(error, "detail", ""))
                self._failed_at = self._clock.monotonic()
                # Whatever is wrong with this one shall not keep the others from their turn the next time.
                self._waiting.pop(airbyte_id, None)
                self._waiting[airbyte_id] = news
                return
            self._waiting.pop(airbyte_id, None)
            if is_complete:
                self._read[airbyte_id] = news
            else:
                self._waiting[airbyte_id] = news

    async def _read_on(self, airbyte_id: str) -> bool:
        """Read from where the days are complete; whether they are complete up to now then."""
        started = self._airbyte.now()
        first = await self._first_day(airbyte_id, started)
        jobs: dict[int, Job] = {}
        for page in range(MAX_PAGES):
            more = await self._airbyte.jobs_created_since(airbyte_id, first, caller=CALLER, offset=page * MAX_JOBS)
            jobs |= {job.job_id: job for job in more}
            if len(more) < MAX_JOBS:
                await self._replace(airbyte_id, jobs, first, _midnight(started) + DAY, _final(jobs, started))
                return True
        # The last day has more jobs than these; but one that has more than all pages hold is told by what they hold.
        newest = max((_created(job) for job in jobs.values()), default=first)
        end = max(_midnight(newest), first + DAY)
        await self._replace(airbyte_id, jobs, first, end, min(end, started - OVERLAP))
        return end > started

    async def _first_day(self, airbyte_id: str, now: datetime) -> datetime:
        known = await self._days.read_upto([airbyte_id])
        earliest = _midnight(now - DAYS * DAY)
        if airbyte_id not in known:
            return earliest
        # A clock that was ahead once must not keep us from asking about the present.
        return max(_midnight(min(parse_time(known[airbyte_id]), now)), earliest)

    async def _replace(
        self, airbyte_id: str, jobs: dict[int, Job], first: datetime, end: datetime, read_upto: datetime
    ) -> None:
        inside = [job for job in jobs.values() if first <= _created(job) < end]
        await self._days.replace(
            airbyte_id,
            days_of(airbyte_id, inside),
            first=_day(first),
            before=_day(end),
            read_upto=format_time(read_upto),
        )


def days_of(airbyte_id: str, jobs: Iterable[Job]) -> list[SyncDay]:
    """The jobs counted by the UTC day they were created on."""
    by_day: dict[str, list[Job]] = {}
    for job in jobs:
        by_day.setdefault(_day(_created(job)), []).append(job)
    return [
        SyncDay(
            airbyte_id=airbyte_id,
            day=day,
            succeeded=sum(job.status == "succeeded" for job in group),
            failed=sum(job.status == "failed" for job in group),
            other=sum(job.status not in {"succeeded", "failed"} for job in group),
            rows=sum(job.rows_synced or 0 for job in group),
            bytes=sum(job.bytes_synced or 0 for job in group),
        )
        for day, group in by_day.items()
    ]


def _final(jobs: dict[int, Job], now: datetime) -> datetime:
    """Up to when nothing of what was read will change."""
    unfinished = (_created(job) for job in jobs.values() if not job.is_terminal)
    return max(min([now - OVERLAP, *unfinished]), now - UNFINISHED_FOR)


def _created(job: Job) -> datetime:
    """A job that does not say when is of no day."""
    return parse_time(job.start_time) if job.start_time else NEVER


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"
