"""All jobs, indexed so that one page of 100,000 jobs is read without sorting the rest."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from typing import Literal

from gateway.sandbox.index import Row, Span, TimeIndex
from gateway.sandbox.records import Job, JobState, JobType
from gateway.sandbox.timeline import Status

ALWAYS = Span()


@dataclass(frozen=True, slots=True)
class JobQuery:
    """One listing of jobs. No workspaces, statuses or types means all of them."""

    connection_id: str | None = None
    workspace_ids: frozenset[str] = frozenset()
    statuses: frozenset[Status] = frozenset()
    job_types: frozenset[JobType] = frozenset()
    created: Span = ALWAYS
    updated: Span = ALWAYS
    order: Literal["createdAt", "updatedAt"] = "createdAt"
    descending: bool = False
    limit: int = 20
    offset: int = 0

    def admits(self, job: Job, state: JobState) -> bool:
        """Return whether the job, as it stands, is one of those asked for."""
        return (
            (not self.workspace_ids or job.workspace_id in self.workspace_ids)
            and (not self.statuses or state.status in self.statuses)
            and (not self.job_types or job.job_type in self.job_types)
            and job.created_at in self.created
            and state.updated_at in self.updated
        )


class History:
    """The jobs of all workspaces. Their states move with the clock; nothing runs in the background."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._jobs: dict[int, Job] = {}
        self._created = TimeIndex()
        self._created_by_connection: dict[str, TimeIndex] = {}
        self._settled = TimeIndex()
        self._moving: set[int] = set()
        self._open: dict[str, set[int]] = {}

    def put(self, job: Job) -> None:
        """Add a job, or replace the steps of a known one."""
        if job.job_id in self._jobs:
            self._settled.discard({job.job_id})
        else:
            self._created.add(job.created_at, job.job_id)
            per_connection = self._created_by_connection.setdefault(job.connection_id, TimeIndex())
            per_connection.add(job.created_at, job.job_id)
        self._jobs[job.job_id] = job
        self._moving.add(job.job_id)
        self._open.setdefault(job.connection_id, set()).add(job.job_id)

    def forget(self, connection_id: str) -> None:
        """Forget all jobs of a connection."""
        rows = self._created_by_connection.pop(connection_id, TimeIndex()).walk(ALWAYS, descending=False)
        job_ids = {job_id for _, job_id in rows}
        for job_id in job_ids:
            del self._jobs[job_id]
        self._created.discard(job_ids)
        self._settled.discard(job_ids)
        self._moving -= job_ids
        self._open.pop(connection_id, None)

    def find(self, job_id: int) -> tuple[Job, JobState] | None:
        """Return the job as it stands now; None if there is none."""
        return next(self._existing([job_id], self._clock()), None)

    def active(self, connection_id: str) -> tuple[Job, JobState] | None:
        """Return the connection's job that has not ended yet."""
        now = self._clock()
        waiting = self._open.get(connection_id, set())
        for job, state in self._existing(sorted(waiting), now):
            if not state.is_terminal:
                return job, state
            waiting.discard(job.job_id)
        return None

    def is_expected(self, connection_id: str) -> bool:
        """Return whether a job has been signalled that does not exist yet."""
        now = self._clock()
        return any(self._jobs[job_id].created_at > now for job_id in self._open.get(connection_id, ()))

    def select(self, query: JobQuery) -> list[tuple[Job, JobState]]:
        """Return the page of jobs that is asked for, each as it stands now."""
        return list(islice(self._admitted(query), query.offset, query.offset + query.limit))

    def count(self, query: JobQuery) -> int:
        """Return how many jobs there are on all pages."""
        return sum(1 for _ in self._admitted(query))

    def _admitted(self, query: JobQuery) -> Iterator[tuple[Job, JobState]]:
        now = self._clock()
        found = self._existing(self._candidates(query, now), now)
        return (row for row in found if query.admits(*row))

    def _existing(self, job_ids: Iterable[int], now: float) -> Iterator[tuple[Job, JobState]]:
        for job_id in job_ids:
            job = self._jobs.get(job_id)
            state = job.state_at(now) if job else None
            if job and state:
                yield job, state

    def _candidates(self, query: JobQuery, now: float) -> Iterator[int]:
        """Yield the answer's jobs and perhaps more, in its order, from the index that leaves out most."""
        rows: Iterator[Row]
        if query.connection_id is not None:
            index = self._created_by_connection.get(query.connection_id, TimeIndex())
            rows = self._in_order([row[1] for row in index.walk(query.created, descending=False)], query, now)
        elif query.order == "updatedAt":
            rows = self._by_update(query.updated, now, descending=query.descending)
        elif query.updated.is_bounded:
            changed = [row[1] for row in self._by_update(query.updated, now, descending=False)]
            rows = self._in_order(changed, query, now)
        else:
            rows = self._created.walk(query.created, descending=query.descending)
        return (job_id for _, job_id in rows)

    def _in_order(self, job_ids: Collection[int], query: JobQuery, now: float) -> Iterator[Row]:
        rows = (
            (job.created_at if query.order == "createdAt" else state.updated_at, job.job_id)
            for job, state in self._existing(job_ids, now)
        )
        return iter(sorted(rows, reverse=query.descending))

    def _by_update(self, span: Span, now: float, *, descending: bool) -> Iterator[Row]:
        self._settle(now)
        changes = ((state.updated_at, job.job_id) for job, state in self._existing(self._moving, now))
        moving = sorted((row for row in changes if row[0] in span), reverse=descending)
        return merge(self._settled.walk(span, descending=descending), moving, reverse=descending)

    def _settle(self, now: float) -> None:
        for job_id in [job_id for job_id in self._moving if self._jobs[job_id].settles_at <= now]:
            self._moving.discard(job_id)
            self._settled.add(self._jobs[job_id].settles_at, job_id)
