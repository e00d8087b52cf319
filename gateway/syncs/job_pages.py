"""Page through jobs as Airbyte does, by offset and in either order: of one connection, or of all of a client's.

Workspaces may hold other clients' jobs too, so an offset among the client's own is none of Airbyte's. Where a page
ended in Airbyte's lists stands sealed in a cursor, so that the pages before need not be read again for the next one.
"""

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from datetime import datetime
from http import HTTPStatus

import msgspec

from gateway.airbyte import MAX_JOBS, Airbyte, JobList
from gateway.airbyte.paths import JobOrder
from gateway.airbyte.rows import Page
from gateway.errors import UpstreamForbidden, UpstreamRefused
from gateway.models import KNOWN_JOB_TYPES, Client, Connection, EndedJob
from gateway.single_flight import SingleFlight
from gateway.store import Store
from gateway.syncs.connections import require_still_mapped, still_own
from gateway.syncs.cursor_seal import CursorSeal
from gateway.syncs.job_place import Place, decode_place, first_place
from gateway.syncs.last_sync import LastSyncRefresh
from gateway.syncs.offset_merge import Merged, merge
from gateway.syncs.own_lists import own_connections
from gateway.syncs.refusals import Refusals

__all__ = ["JobList", "JobOrder", "JobPages", "JobRows", "JobsAsked"]

OwnLists = Sequence[tuple[JobList, Collection[str]]]
"""Lists of Airbyte's, each with Airbyte's ids of the connections whose jobs are wanted of it."""


class JobsAsked(msgspec.Struct, frozen=True):
    """Which jobs are asked for, of any of the types and statuses, and the page of them; all, if none are named.

    `jobs` tells neither connection nor workspaces.
    """

    jobs: JobList
    created_until: datetime | None
    limit: int
    offset: int
    types: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()


class JobRows(msgspec.Struct, frozen=True):
    """Jobs in the order asked for; `next` is the offset of the page after, None at the end.

    `cursor` leads there sooner, where there is one: an offset alone is searched for from the start. `is_whole`: Airbyte
    told of all connections.
    """

    jobs: list[EndedJob]
    next: int | None
    cursor: str | None = None
    is_whole: bool = True


class JobPages:
    """Reads pages of jobs; simultaneous readers of the same page share its calls to Airbyte."""

    def __init__(
        self,
        store: Store,
        airbyte: Airbyte,
        refusals: Refusals,
        refresh: LastSyncRefresh,
        cursor_seal: Callable[[], Awaitable[CursorSeal]],
    ) -> None:
        self._store = store
        self._refresh = refresh
        self._refusals = refusals
        self._airbyte = airbyte
        self._cursor_seal = cursor_seal
        self._reads: SingleFlight[tuple[int, JobsAsked], JobRows] = SingleFlight()
        self._merges: SingleFlight[tuple[int, JobsAsked, bytes], Merged] = SingleFlight()

    async def close(self) -> None:
        """Cancel the reads under way."""
        await self._merges.close(cancel=True)
        await self._reads.close(cancel=True)

    async def of_connection(
        self, client: Client, connection: Connection, asked: JobsAsked, cursor: str | None = None
    ) -> JobRows:
        """Return a page of the jobs of a client's connection. Raises BadRequest, ConnectionNotFound, UpstreamError."""
        airbyte_id = connection.airbyte_id or ""
        jobs = [*_variants(msgspec.structs.replace(asked.jobs, airbyte_id=airbyte_id), asked)]
        try:
            if len(jobs) > 1:
                rows = await self._merged(client, [(each, {airbyte_id}) for each in jobs], asked, cursor)
            else:
                chosen = msgspec.structs.replace(asked, jobs=jobs[0])
                rows = await self._reads.run((client.id, chosen), lambda: self._read_of_connection(client.id, chosen))
        except UpstreamRefused as refusal:
            raise await self._refusals.error_for(refusal, airbyte_id) from refusal
        await require_still_mapped(self._store, client, connection.id, airbyte_id)
        return await self._still_own(client, rows)

    async def of_client(self, client: Client, asked: JobsAsked, cursor: str | None = None) -> JobRows:
        """Return a page of the jobs of all of the client's connections. Raises BadRequest, UpstreamError.

        `cursor` is the one that the page before told, if any. One workspace that Airbyte refuses does not hide the
        others: the refresh singles it out, and its connections are asked for by themselves.
        """
        unread = self._refresh.unread
        try:
            return await self._of_client(client, asked, cursor)
        except UpstreamRefused as refusal:
            if refusal.upstream_status != HTTPStatus.FORBIDDEN:
                raise
            await self._refresh.refresh_if_older(self._refresh.freshness_seconds)
            if self._refresh.unread == unread:
                raise UpstreamForbidden(detail="403: the credential may not read these workspaces") from refusal
        return await self._of_client(client, asked, cursor)

    async def _of_client(self, client: Client, asked: JobsAsked, cursor: str | None) -> JobRows:
        own = own_connections((await self._store.connections.of_client(client.id)).rows, self._refresh.covers)
        lists: OwnLists = [
            (each, own.placed if each.airbyte_id is None else {each.airbyte_id})
            for jobs in own.lists(asked.jobs)
            for each in _variants(jobs, asked)
        ]
        if not lists:
            return JobRows([], None)
        rows = await self._still_own(client, await self._merged(client, lists, asked, cursor))
        return msgspec.structs.replace(rows, is_whole=rows.is_whole and own.is_whole)

    async def _merged(self, client: Client, lists: OwnLists, asked: JobsAsked, cursor: str | None) -> JobRows:
        seal, jobs = await self._cursor_seal(), [jobs for jobs, _ in lists]
        start = first_place(asked.offset, jobs)
        if cursor:
            start = decode_place(seal.open_bytes(client.id, cursor), asked.offset, jobs)
        key = (client.id, asked, start.encode(jobs))
        merged = await self._merges.run(key, lambda: self._merge(client.id, lists, asked, start))
        if merged.next is None:
            return JobRows(merged.jobs, None, is_whole=merged.is_whole)
        sealed = seal.seal_bytes(client.id, merged.next.encode(jobs))
        return JobRows(merged.jobs, merged.next.shown, sealed, merged.is_whole)

    async def _still_own(self, client: Client, rows: JobRows) -> JobRows:
        """Leave out jobs of connections that were given to another client meanwhile, and of types that nobody knows."""
        own = await still_own(self._store, client, (job.connection_id for job in rows.jobs))
        jobs = [job for job in rows.jobs if job.connection_id in own and job.job_type in KNOWN_JOB_TYPES]
        return msgspec.structs.replace(rows, jobs=jobs)

    async def _read_of_connection(self, client_id: int, asked: JobsAsked) -> JobRows:
        page = await self._page(client_id, asked, size=min(asked.limit + 1, MAX_JOBS), offset=asked.offset)
        end = asked.offset + asked.limit
        has_more = page.sent > asked.limit
        if page.sent == asked.limit == MAX_JOBS:
            has_more = (await self._page(client_id, asked, size=1, offset=end)).sent > 0
        return JobRows(page.rows[: asked.limit], end if has_more else None)

    async def _merge(self, client_id: int, lists: OwnLists, asked: JobsAsked, start: Place) -> Merged:
        async def read_page(jobs: JobList, offset: int) -> Page[EndedJob]:
            return await self._page(client_id, msgspec.structs.replace(asked, jobs=jobs), size=MAX_JOBS, offset=offset)

        return await merge(lists, read_page, start, limit=asked.limit)

    async def _page(self, client_id: int, asked: JobsAsked, *, size: int, offset: int) -> Page[EndedJob]:
        return await self._airbyte.job_lists.page(
            asked.jobs, caller=client_id, limit=size, offset=offset, until=asked.created_until
        )


def _variants(jobs: JobList, asked: JobsAsked) -> Iterator[JobList]:
    """Yield the list once for each type and status: Airbyte takes one of each in a call."""
    for job_type in asked.types or [None]:
        for status in asked.statuses or [None]:
            yield msgspec.structs.replace(jobs, job_type=job_type, status=status)
