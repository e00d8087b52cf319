"""Call the resources of Airbyte's public API that are about jobs of one connection, or about syncs that changed."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from gateway.airbyte import paths
from gateway.airbyte.bulkhead import Caller, Kind
from gateway.airbyte.call import MAX_OBJECT_BYTES, Call, Method
from gateway.airbyte.mapping import ended_job_from, job_from, word
from gateway.airbyte.reader import Reader
from gateway.airbyte.rows import Page, PageDecoder
from gateway.airbyte.schema import EndedJobRecord, JobRecord
from gateway.errors import UpstreamInvalid, UpstreamRefused
from gateway.models import EndedJob, Job

NO_SUCH_JOB = frozenset({403, 404, 409})
"""How Airbyte answers for a job that it does not have: Cloud, nobody seen yet, Community."""

Row = TypeVar("Row")

_JOB_PAGES = PageDecoder(JobRecord, job_from)
_JOB = msgspec.json.Decoder(JobRecord)
_ENDED_JOB = msgspec.json.Decoder(EndedJobRecord)


class Jobs:
    """Every method raises UpstreamError."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def syncs(
        self,
        airbyte_id: str,
        *,
        caller: Caller,
        limit: int,
        offset: int = 0,
        status: str | None = None,
        drop_odd: bool = True,
    ) -> list[Job]:
        """Return syncs of one connection, newest first; Airbyte's own default is oldest first.

        Raises UpstreamError; UpstreamInvalid if all jobs of a page have an odd form, without `drop_odd` if one has.
        """
        path = paths.newest_syncs(airbyte_id, limit=limit, offset=offset)
        path += f"&status={word(status)}" if status else ""
        page = await self._reader.page(_JOB_PAGES, path, caller=caller)
        is_whole = drop_odd and (page.rows or not page.sent)  # nothing left of a page must not read as no jobs
        return self._jobs_of(airbyte_id, page if is_whole else _without_odd(page)).rows

    async def recent_syncs(self, airbyte_id: str, *, limit: int) -> list[Job]:
        """Return syncs of one connection, newest first, for the gateway itself. An odd one costs only itself.

        Raises UpstreamError; UpstreamInvalid if the newest has an odd form.
        """
        page = await self._reader.page(_JOB_PAGES, paths.newest_syncs(airbyte_id, limit=limit, offset=0))
        return self._jobs_of(airbyte_id, _without_odd(page) if page.is_first_odd else page).rows

    async def newest(self, airbyte_id: str, *, caller: Caller, limit: int, has_permit: bool = False) -> list[Job]:
        """Return jobs of one connection, of all types, newest first; with `has_permit` under a trigger's permit.

        Raises UpstreamError; UpstreamInvalid if a job has an odd form: it might be the one that runs.
        """
        call = Call(
            _JOB_PAGES,
            paths.newest_jobs(airbyte_id, limit=limit).encode("ascii"),
            caller,
            has_permit=has_permit,
            deadline_seconds=self._reader.deadlines.read,
        )
        page = self._reader.counted(await self._reader.send(call))
        return self._jobs_of(airbyte_id, _without_odd(page)).rows

    async def newest_syncs(self, airbyte_id: str, *, caller: Caller, limit: int) -> list[Job]:
        """Return syncs of one connection, newest first, under a trigger's permit.

        Raises UpstreamError; UpstreamInvalid if a job has an odd form: it might be the one that is looked for.
        """
        call = Call(
            _JOB_PAGES,
            paths.newest_syncs(airbyte_id, limit=limit, offset=0).encode("ascii"),
            caller,
            has_permit=True,
            deadline_seconds=self._reader.deadlines.reconcile,
        )
        page = self._reader.counted(await self._reader.send(call))
        return self._jobs_of(airbyte_id, _without_odd(page)).rows

    async def created_since(self, airbyte_id: str, since: datetime, *, caller: Caller, offset: int) -> Page[Job]:
        """Return a page of a connection's sync jobs created at or after `since`, oldest first. Raises UpstreamError.

        A job that is created meanwhile comes last, so it shifts no offset.
        """
        path = paths.syncs_created_since(airbyte_id, since, offset=offset)
        return self._jobs_of(airbyte_id, await self._reader.page(_JOB_PAGES, path, caller=caller))

    async def updated_since(self, workspace_ids: Sequence[str], since: datetime, *, offset: int) -> Page[Job]:
        """Return a page of workspaces' sync jobs that changed at or after `since`, newest change first.

        An empty list of workspaces would widen the answer to all that the credential sees: ValueError.
        Raises UpstreamError.
        """
        return await self._reader.page(_JOB_PAGES, paths.syncs_updated_since(workspace_ids, since, offset=offset))

    def _jobs_of(self, airbyte_id: str, page: Page[Job]) -> Page[Job]:
        return self._reader.asked_for(page, lambda job: job.connection_id == airbyte_id)

    async def create(self, airbyte_id: str, *, caller: Caller, within_seconds: float) -> Job:
        """Trigger a sync, under a trigger's permit. Raises UpstreamError; UpstreamInvalid if it is another's job.

        While a job is pending Airbyte answers with that job. It has no idempotency key.
        """
        call = Call(
            _JOB,
            b"/jobs",
            caller,
            method=b"POST",
            body=msgspec.json.encode({"connectionId": paths.checked_uuid(airbyte_id), "jobType": "sync"}),
            kind="trigger",
            has_permit=True,
            deadline_seconds=min(self._reader.deadlines.trigger, within_seconds),
            max_bytes=MAX_OBJECT_BYTES,
        )
        job = job_from(await self._reader.send(call))
        if job.connection_id != airbyte_id:
            self._reader.count_mismatch(1)
            raise UpstreamInvalid(detail="the new job belongs to another connection")
        return job

    async def of_connection(
        self, airbyte_id: str, job_id: int, *, caller: Caller, has_permit: bool = False
    ) -> EndedJob | None:
        """Return one job of a connection; None if it has no such job. Raises UpstreamError."""
        return _of(airbyte_id, await self.by_id(job_id, caller=caller, has_permit=has_permit))

    async def by_id(self, job_id: int, *, caller: Caller, has_permit: bool = False) -> EndedJob | None:
        """Return one job of any type, whosever it is: whoever calls this must check. None if there is none.

        With `has_permit` it is read under a trigger's permit. Raises UpstreamError.
        """
        return await self._named_job(job_id, caller, has_permit=has_permit)

    async def cancel(self, airbyte_id: str, job_id: int, *, caller: Caller) -> EndedJob | None:
        """Cancel what the connection does, under a trigger's permit; None if there is no such job.

        Return the job as it stands then. Airbyte looks at the connection of the job, not at the job: whoever calls has
        looked at what runs. While the job is pending Airbyte answers 200 and does nothing. Never sent twice. Raises
        UpstreamError.
        """
        job = await self._named_job(job_id, caller, method=b"DELETE", kind="trigger", has_permit=True)
        return _of(airbyte_id, job)

    async def _named_job(
        self, job_id: int, caller: Caller, *, method: Method = b"GET", kind: Kind = "read", has_permit: bool
    ) -> EndedJob | None:
        call = Call(
            _ENDED_JOB,
            paths.job(job_id).encode("ascii"),
            caller,
            method=method,
            kind=kind,
            has_permit=has_permit,
            deadline_seconds=self._reader.deadlines.read,
            max_bytes=MAX_OBJECT_BYTES,
        )
        try:
            job = ended_job_from(await self._reader.send(call))
        except UpstreamRefused as refusal:
            if refusal.upstream_status not in NO_SUCH_JOB:
                raise
            return None
        if job.job_id != job_id:
            self._reader.count_mismatch(1)
            raise UpstreamInvalid(detail="the answer is about another job")
        return job


def _of(airbyte_id: str, job: EndedJob | None) -> EndedJob | None:
    """Return the job; None if it is another connection's."""
    return job if job is not None and job.connection_id == airbyte_id else None


def _without_odd(page: Page[Row]) -> Page[Row]:
    """Return the page. Raises UpstreamInvalid if one of its rows could not be read."""
    if len(page.rows) < page.sent:
        raise UpstreamInvalid(detail="a job of the connection has an unexpected form")
    return page
