"""List jobs of any type: of one connection, or of whole workspaces, which may hold other customers' jobs too."""

from datetime import datetime

import msgspec

from gateway.airbyte import paths
from gateway.airbyte.bulkhead import Caller
from gateway.airbyte.mapping import ended_job_from, word
from gateway.airbyte.reader import Reader
from gateway.airbyte.rows import Page, PageDecoder
from gateway.airbyte.schema import EndedJobRecord
from gateway.models import EndedJob

_PAGES = PageDecoder(EndedJobRecord, ended_job_from)


class JobList(msgspec.Struct, frozen=True):
    """Which jobs are asked for: of one connection, or of the workspaces; of one type, or None for all."""

    airbyte_id: str | None = None
    workspace_ids: tuple[str, ...] = ()
    job_type: str | None = None
    status: str | None = None
    updated_since: datetime | None = None
    updated_until: datetime | None = None
    created_since: datetime | None = None
    order: paths.JobOrder = "createdAt|DESC"


class JobLists:
    """Every method raises UpstreamError."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def page(
        self, jobs: JobList, *, caller: Caller, limit: int, offset: int, until: datetime | None = None
    ) -> Page[EndedJob]:
        """Return a page of jobs created up to `until`. Raises UpstreamError.

        Rows of another connection than the one asked for are dropped. A row does not tell its workspace: whose it is,
        the caller of this must check.
        """
        path = paths.jobs(
            jobs.airbyte_id,
            jobs.workspace_ids,
            filters={
                "jobType": word(jobs.job_type) if jobs.job_type else None,
                "status": word(jobs.status) if jobs.status else None,
            },
            times={
                "updatedAtStart": jobs.updated_since,
                "updatedAtEnd": jobs.updated_until,
                "createdAtStart": jobs.created_since,
                "createdAtEnd": until,
            },
            order=jobs.order,
            limit=limit,
            offset=offset,
        )
        page = await self._reader.page(_PAGES, path, caller=caller)
        if jobs.airbyte_id is None:
            return page
        return self._reader.asked_for(page, lambda job: job.connection_id == jobs.airbyte_id)
