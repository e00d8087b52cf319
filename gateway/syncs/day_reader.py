"""Read one connection's job list from Airbyte, and keep its syncs counted by the day."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from gateway.airbyte import MAX_JOBS, Airbyte, OwnCalls
from gateway.models import Job, SyncDay
from gateway.store import Store
from gateway.times import format_time, parse_time

DAY_OVERLAP = timedelta(minutes=1)
"""Read again each time: Airbyte's clock is known to a second, and a job may show a little after it was created."""
UNFINISHED_FOR = timedelta(days=3)
"""A job that takes longer is no longer waited for: every reading would begin with its day."""
MAX_DAY_PAGES = 10
"""Of one connection, before the next one is read."""
ONE_DAY = timedelta(days=1)
NEVER = datetime.min.replace(tzinfo=UTC)


class DayReader:
    """Goes on where the days of a connection are complete."""

    def __init__(self, store: Store, airbyte: Airbyte, *, days: int) -> None:
        """Read back `days` days at most."""
        self._days = store.sync_days
        self._airbyte = airbyte
        self._length = days * ONE_DAY

    async def read_on(self, airbyte_id: str) -> bool:
        """Read up to ten pages of the connection's syncs; return whether its days are complete up to now then.

        Raises UpstreamError, StorageUnavailable.
        """
        started = self._airbyte.now()
        first = await self._first_day(airbyte_id, started)
        jobs: dict[int, Job] = {}
        for number in range(MAX_DAY_PAGES):
            page = await self._airbyte.jobs.created_since(
                airbyte_id, first, caller=OwnCalls.HISTORY, offset=number * MAX_JOBS
            )
            jobs |= {job.job_id: job for job in page.rows}
            if page.sent < MAX_JOBS:
                await self._replace(airbyte_id, jobs, first, _midnight(started) + ONE_DAY, _final(jobs, started))
                return True
        # The last day has more jobs than these; but one that has more than all pages hold is told by what they hold.
        newest = max((_created(job) for job in jobs.values()), default=first)
        end = max(_midnight(newest), first + ONE_DAY)
        await self._replace(airbyte_id, jobs, first, end, min(end, started - DAY_OVERLAP))
        return end > started

    async def _first_day(self, airbyte_id: str, now: datetime) -> datetime:
        known = await self._days.read_upto([airbyte_id])
        earliest = _midnight(now - self._length)
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
            first=day_name(first),
            before=day_name(end),
            read_upto=format_time(read_upto),
        )


def days_of(airbyte_id: str, jobs: Iterable[Job]) -> list[SyncDay]:
    """Count the jobs by the UTC day they were created on."""
    by_day: dict[str, list[Job]] = {}
    for job in jobs:
        by_day.setdefault(day_name(_created(job)), []).append(job)
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


def day_name(moment: datetime) -> str:
    """Return the moment's UTC day as the store names it: `2026-04-01`."""
    return f"{moment:%Y-%m-%d}"


def _final(jobs: dict[int, Job], now: datetime) -> datetime:
    """Return up to when nothing of what was read will change."""
    unfinished = (_created(job) for job in jobs.values() if not job.is_terminal)
    return max(min([now - DAY_OVERLAP, *unfinished]), now - UNFINISHED_FOR)


def _created(job: Job) -> datetime:
    """Return when the job was created; a day before all others if it does not say."""
    return parse_time(job.start_time) if job.start_time else NEVER


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
