"""Page through jobs as Airbyte does, by offset and in either order: of one connection, or of all of a client's.

Workspaces may hold other clients' jobs too, so an offset among the client's own is none of Airbyte's. Where a page
ended is remembered, so that the pages before need not be read again for the next one.
"""

from collections.abc import Collection
from datetime import datetime

import msgspec

from gateway.airbyte import MAX_JOBS, Airbyte, JobList
from gateway.airbyte.paths import JobOrder
from gateway.airbyte.rows import Page
from gateway.errors import UpstreamRefused
from gateway.models import KNOWN_JOB_TYPES, Client, Connection, EndedJob
from gateway.single_flight import SingleFlight
from gateway.store import Store
from gateway.syncs.client_cache import ClientCache
from gateway.syncs.refusals import Refusals
from gateway.syncs.timings import PollTimings
from gateway.times import Clock

__all__ = ["JobList", "JobOrder", "JobPages", "JobRows", "JobsAsked"]

MOST_READS = 10
"""Pages of Airbyte's that one of ours reads: beyond them it is short, and says where to go on."""


class JobsAsked(msgspec.Struct, frozen=True):
    """Which jobs are asked for, and the page of them. `jobs` tells neither connection nor workspaces."""

    jobs: JobList
    created_until: datetime | None
    limit: int
    offset: int


class JobRows(msgspec.Struct, frozen=True):
    """Jobs in the order asked for; `next` is the offset of the page after, None at the end."""

    jobs: list[EndedJob]
    next: int | None


class _Place(msgspec.Struct, frozen=True):
    """Where the client's jobs go on in Airbyte's list: at a page's offset, after so many that are the client's."""

    offset: int = 0
    skipped: int = 0


class JobPages:
    """Reads pages of jobs; simultaneous readers of the same page share its calls to Airbyte."""

    def __init__(self, store: Store, airbyte: Airbyte, refusals: Refusals, clock: Clock, timings: PollTimings) -> None:
        self._connections = store.connections
        self._refusals = refusals
        self._airbyte = airbyte
        self._places: ClientCache[tuple[JobList, datetime | None, int], _Place] = ClientCache(
            clock, seconds=timings.places
        )
        self._reads: SingleFlight[tuple[int, JobsAsked], JobRows] = SingleFlight()

    async def close(self) -> None:
        """Cancel the reads under way."""
        await self._reads.close(cancel=True)

    async def of_connection(self, client: Client, connection: Connection, asked: JobsAsked) -> JobRows:
        """Return a page of the jobs of a client's connection. Raises ConnectionNotFound, UpstreamError."""
        jobs = msgspec.structs.replace(asked.jobs, airbyte_id=connection.airbyte_id)
        chosen = msgspec.structs.replace(asked, jobs=jobs)
        try:
            rows = await self._reads.run((client.id, chosen), lambda: self._read_of_connection(client.id, chosen))
        except UpstreamRefused as refusal:
            raise await self._refusals.error_for(refusal, connection.airbyte_id or "") from refusal
        return await self._still_own(client, rows)

    async def of_client(self, client: Client, asked: JobsAsked) -> JobRows:
        """Return a page of the jobs of all of the client's connections. Raises UpstreamError."""
        connections = await self._connections.of_client(client.id)
        workspaces = tuple(sorted(connections.workspaces))
        if not workspaces:
            return JobRows([], None)
        own = frozenset(row.airbyte_id for row in connections.rows if row.airbyte_id)
        chosen = msgspec.structs.replace(asked, jobs=msgspec.structs.replace(asked.jobs, workspace_ids=workspaces))
        rows = await self._reads.run((client.id, chosen), lambda: self._read_of_client(client.id, own, chosen))
        return await self._still_own(client, rows)

    async def _still_own(self, client: Client, rows: JobRows) -> JobRows:
        """Leave out jobs of connections that were given to another client meanwhile, and of types that nobody knows."""
        own = {row.airbyte_id for row in (await self._connections.of_client(client.id)).rows}
        jobs = [job for job in rows.jobs if job.connection_id in own and job.job_type in KNOWN_JOB_TYPES]
        return JobRows(jobs, rows.next)

    async def _read_of_connection(self, client_id: int, asked: JobsAsked) -> JobRows:
        page = await self._page(client_id, asked, size=min(asked.limit + 1, MAX_JOBS), offset=asked.offset)
        end = asked.offset + asked.limit
        has_more = page.sent > asked.limit
        if page.sent == asked.limit == MAX_JOBS:
            has_more = (await self._page(client_id, asked, size=1, offset=end)).sent > 0
        return JobRows(page.rows[: asked.limit], end if has_more else None)

    async def _read_of_client(self, client_id: int, own: Collection[str], asked: JobsAsked) -> JobRows:
        place = self._places.get(client_id, (asked.jobs, asked.created_until, asked.offset)) if asked.offset else None
        offset, to_skip = (place.offset, place.skipped) if place else (0, asked.offset)
        rows: list[EndedJob] = []
        for _ in range(MOST_READS):
            page = await self._page(client_id, asked, size=MAX_JOBS, offset=offset)
            found = [job for job in page.rows if job.connection_id in own]
            fresh = found[to_skip:]
            room = asked.limit - len(rows)
            rows += fresh[:room]
            if len(fresh) > room:
                return self._going_on(client_id, asked, rows, _Place(offset, len(found) - len(fresh) + room))
            to_skip = max(0, to_skip - len(found))
            if page.sent < MAX_JOBS:
                return JobRows(rows, None)
            offset += page.sent
        return self._going_on(client_id, asked, rows, _Place(offset, to_skip))

    def _going_on(self, client_id: int, asked: JobsAsked, rows: list[EndedJob], place: _Place) -> JobRows:
        end = asked.offset + len(rows)
        self._places.put(client_id, (asked.jobs, asked.created_until, end), place)
        return JobRows(rows, end)

    async def _page(self, client_id: int, asked: JobsAsked, *, size: int, offset: int) -> Page[EndedJob]:
        return await self._airbyte.job_lists.page(
            asked.jobs, caller=client_id, limit=size, offset=offset, until=asked.created_until
        )
