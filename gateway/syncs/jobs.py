"""Read the jobs of a client's connection, a page at a time."""

import msgspec

from gateway.airbyte import MAX_JOBS, Airbyte
from gateway.errors import UpstreamRefused
from gateway.models import Client, Job
from gateway.single_flight import SingleFlight
from gateway.store import Store
from gateway.syncs.connections import airbyte_id_of, require_still_mapped
from gateway.syncs.cursor import Cursor
from gateway.syncs.refusals import Refusals

DEFAULT_JOBS = 20
MOST_JOBS = MAX_JOBS


class JobPage(msgspec.Struct, frozen=True):
    """Jobs, newest first; `next` asks for the page after, None at the end."""

    jobs: list[Job]
    next: Cursor | None


class JobReader:
    """Reads job lists; simultaneous readers of the same page share one call to Airbyte."""

    def __init__(self, store: Store, airbyte: Airbyte, refusals: Refusals) -> None:
        self._store = store
        self._airbyte = airbyte
        self._refusals = refusals
        self._reads: SingleFlight[tuple[int, str, int, int, str | None], list[Job]] = SingleFlight()

    async def close(self) -> None:
        """Cancel the reads under way."""
        await self._reads.close(cancel=True)

    async def read_page(
        self, client: Client, connection_id: str, *, limit: int, status: str | None, cursor: Cursor | None
    ) -> JobPage:
        """Return a page of the connection's sync jobs. Raises ConnectionNotFound, BadRequest, UpstreamError."""
        airbyte_id = await airbyte_id_of(self._store, client, connection_id)
        offset = cursor.offset if cursor else 0
        asked = min(limit + 1, MAX_JOBS)
        rows = await self._reads.run(
            (client.id, airbyte_id, asked, offset, status),
            lambda: self._read(client, airbyte_id, limit=asked, offset=offset, status=status),
        )
        await require_still_mapped(self._store, client, connection_id, airbyte_id)
        # New jobs shift every offset: what the page before already showed is dropped by id.
        fresh = [job for job in rows if cursor is None or job.job_id < cursor.last_job_id]
        page = fresh[:limit]
        more = len(rows) == asked and (asked == limit or len(fresh) > limit or len(fresh) < len(rows))
        if not more:
            return JobPage(page, None)
        last = page[-1].job_id if page else cursor.last_job_id if cursor else 0
        return JobPage(page, Cursor(offset + len(rows) - len(fresh) + len(page), last))

    async def _read(self, client: Client, airbyte_id: str, *, limit: int, offset: int, status: str | None) -> list[Job]:
        try:
            rows = await self._airbyte.jobs.syncs(
                airbyte_id, caller=client.id, limit=limit, offset=offset, status=status
            )
        except UpstreamRefused as refusal:
            raise await self._refusals.error_for(refusal, airbyte_id) from refusal
        # Airbyte breaks ties of its order by chance and may repeat a row over a page's edge.
        return sorted({job.job_id: job for job in rows}.values(), key=lambda job: job.job_id, reverse=True)
