"""Call the resources of Airbyte's public API that the gateway uses, and give them as our records.

Ids are checked before they enter a URL, and every row that comes back must be of the connection asked for: a
credential of Airbyte's sees everything, so Airbyte does not keep one customer's rows from another.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TypeVar

import msgspec

from gateway.airbyte import paths
from gateway.airbyte.bulkhead import Caller, OwnCalls
from gateway.airbyte.call import MAX_OBJECT_BYTES, Call, Decoder
from gateway.airbyte.executor import CallExecutor
from gateway.airbyte.mapping import checked_connection, checked_workspace, job_from, word
from gateway.airbyte.rows import Page, PageDecoder, page_of, walk
from gateway.airbyte.schema import ConnectionRecord, JobRecord, SourceRecord, WorkspaceRecord
from gateway.airbyte.timings import Deadlines
from gateway.airbyte.token import Authorization, ClientCredentials, Credential
from gateway.errors import UpstreamInvalid
from gateway.models import Job
from gateway.settings.secret import Secret
from gateway.times import Clock

LARGEST_SKEW = timedelta(days=1)
MOST_PASSES = 30
"""So many passes show each of 1,000 rows, even when pages come in random order."""

Record = TypeVar("Record")
Row = TypeVar("Row")

_JOB = msgspec.json.Decoder(JobRecord)
_CONNECTION = msgspec.json.Decoder(ConnectionRecord)
_SOURCE = msgspec.json.Decoder(SourceRecord)
_WORKSPACE = msgspec.json.Decoder(WorkspaceRecord)
_PAGE = PageDecoder()


class Airbyte:
    """Airbyte, as far as the gateway needs it. Every method raises UpstreamError."""

    def __init__(
        self,
        executor: CallExecutor,
        authorization: Authorization,
        clock: Clock,
        deadlines: Deadlines,
        *,
        count_mismatch: Callable[[int], None],
        count_odd: Callable[[int], None],
        credential: Credential,
        is_remote: bool,
    ) -> None:
        """Tell `count_mismatch` of dropped rows of another connection, and `count_odd` of those with an odd form."""
        self.is_remote = is_remote
        """Whether there is a network on the way, with a host that has a name and a port."""
        self._executor = executor
        self._credential = credential
        self._authorization = authorization
        self._clock = clock
        self._count_mismatch = count_mismatch
        self._count_odd = count_odd
        self._deadlines = deadlines

    def now(self) -> datetime:
        """Return the time of Airbyte's clock by its last answer; ours before the first, or when that is a day off."""
        now = self._clock.now()
        try:
            theirs = parsedate_to_datetime(self._executor.client.last_date).astimezone(UTC)
            theirs += timedelta(seconds=self._clock.monotonic() - self._executor.client.dated_at)
        except (ValueError, OverflowError):
            return now
        return theirs if abs(theirs - now) < LARGEST_SKEW else now

    @property
    def in_flight(self) -> int:
        return self._executor.in_flight

    @property
    def identity(self) -> str:
        """The client id or user name that calls are made with."""
        return self._credential.identity

    @property
    def has_secret(self) -> bool:
        return bool(self._credential.secret)

    def change_credential(self, identity: str, secret: Secret) -> None:
        """Use another credential for calls made from now on; those under way finish with what they have."""
        if (identity, secret) != (self._credential.identity, self._credential.secret):
            self._credential.identity, self._credential.secret = identity, secret
            self._authorization.forget()

    def state(self) -> dict[str, object]:
        """Return what `/readyz` and the admin's page tell of Airbyte."""
        return self._executor.state()

    async def jobs(
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
        page = await self._page(_JOB, job_from, path, caller=caller)
        is_whole = drop_odd and (page.rows or not page.sent)  # nothing left of a page must not read as no jobs
        return self._jobs_of(airbyte_id, page if is_whole else _without_odd(page)).rows

    def trigger_permit(self, caller: Caller) -> AbstractAsyncContextManager[None]:
        """Return what holds, while entered, the one permit for a trigger's calls. Entering raises UpstreamBusy."""
        return self._executor.permit("trigger", caller)

    async def newest_syncs(self, airbyte_id: str, *, caller: Caller, limit: int) -> list[Job]:
        """Return syncs of one connection, newest first, under a trigger's permit.

        Raises UpstreamError; UpstreamInvalid if a job has an odd form: it might be the one that is looked for.
        """
        call = Call(
            _PAGE,
            paths.newest_syncs(airbyte_id, limit=limit, offset=0).encode("ascii"),
            caller,
            has_permit=True,
            deadline_seconds=self._deadlines.reconcile,
        )
        raw = await self._executor.send(call, self._authorization)
        return self._jobs_of(airbyte_id, _without_odd(page_of(raw, _JOB, job_from, self._count_odd))).rows

    async def jobs_created_since(self, airbyte_id: str, since: datetime, *, caller: Caller, offset: int) -> Page[Job]:
        """Return a page of a connection's sync jobs created at or after `since`, oldest first. Raises UpstreamError.

        A job that is created meanwhile comes last, so it shifts no offset.
        """
        path = paths.syncs_created_since(airbyte_id, since, offset=offset)
        return self._jobs_of(airbyte_id, await self._page(_JOB, job_from, path, caller=caller))

    async def jobs_updated_since(self, workspace_ids: Sequence[str], since: datetime, *, offset: int) -> Page[Job]:
        """Return a page of workspaces' sync jobs that changed at or after `since`, newest change first.

        An empty list of workspaces would widen the answer to all that the credential sees: ValueError.
        Raises UpstreamError.
        """
        return await self._page(_JOB, job_from, paths.syncs_updated_since(workspace_ids, since, offset=offset))

    def _jobs_of(self, airbyte_id: str, page: Page[Job]) -> Page[Job]:
        return self._asked_for(page, lambda job: job.connection_id == airbyte_id)

    def _asked_for(self, page: Page[Row], is_asked_for: Callable[[Row], bool]) -> Page[Row]:
        """Return the page with the rows that were asked for. Raises UpstreamInvalid if all of them are others."""
        rows = [row for row in page.rows if is_asked_for(row)]
        if len(rows) != len(page.rows):
            self._count_mismatch(len(page.rows) - len(rows))
            if not rows:
                raise UpstreamInvalid(detail="the whole page is about what was not asked for")
        return msgspec.structs.replace(page, rows=rows)

    async def create_job(self, airbyte_id: str, *, caller: Caller, within_seconds: float) -> Job:
        """Trigger a sync, under a trigger's permit. Raises UpstreamError; UpstreamInvalid if it is another's job.

        While a job is pending Airbyte answers with that job. It has no idempotency key.
        """
        call = Call(
            _JOB,
            b"/jobs",
            caller,
            body=msgspec.json.encode({"connectionId": paths.checked_uuid(airbyte_id), "jobType": "sync"}),
            kind="trigger",
            has_permit=True,
            deadline_seconds=min(self._deadlines.trigger, within_seconds),
            max_bytes=MAX_OBJECT_BYTES,
        )
        job = job_from(await self._executor.send(call, self._authorization))
        if job.connection_id != airbyte_id:
            self._count_mismatch(1)
            raise UpstreamInvalid(detail="the new job belongs to another connection")
        return job

    async def connection(self, airbyte_id: str, *, caller: Caller = OwnCalls.ROUTINE) -> ConnectionRecord:
        """Return one connection. Raises UpstreamError; UpstreamInvalid if the answer is about another one."""
        return self._connection_of(
            airbyte_id, await self._read(_CONNECTION, paths.connection(airbyte_id), caller=caller)
        )

    async def connection_of_trigger(self, airbyte_id: str, *, caller: Caller) -> ConnectionRecord:
        """Return one connection, under a trigger's permit. Raises UpstreamError as `connection`."""
        path = paths.connection(airbyte_id).encode("ascii")
        call = Call(_CONNECTION, path, caller, has_permit=True, deadline_seconds=self._deadlines.read)
        return self._connection_of(airbyte_id, await self._executor.send(call, self._authorization))

    def _connection_of(self, airbyte_id: str, record: ConnectionRecord) -> ConnectionRecord:
        if record.connection_id != airbyte_id:
            self._count_mismatch(1)
            raise UpstreamInvalid(detail="the answer is about another connection")
        return checked_connection(record)

    async def connections(
        self, workspace_ids: Sequence[str], *, offset: int, include_deleted: bool = False
    ) -> Page[ConnectionRecord]:
        """Return a page in no order at all: paging may repeat or miss rows. Raises UpstreamError."""
        path = paths.connections(workspace_ids, offset=offset, include_deleted=include_deleted)
        page = await self._page(_CONNECTION, checked_connection, path)
        return self._asked_for(page, lambda record: record.workspace_id in workspace_ids)

    def connection_pages(self, workspace_ids: Sequence[str]) -> AsyncIterator[Page[ConnectionRecord]]:
        """Yield the pages of one pass over the connections of workspaces, deleted ones too. Raises UpstreamError."""
        return walk(
            lambda offset: self.connections(workspace_ids, offset=offset, include_deleted=True),
            lambda record: record.connection_id,
        )

    async def all_connections(self, workspace_id: str) -> AsyncIterator[ConnectionRecord]:
        """Yield each connection of a workspace once. Raises UpstreamError; UpstreamInvalid if pages keep hiding rows.

        Pages come in no order and may repeat or miss rows. A pass over all offsets reads as many rows as there are,
        so fewer different ones mean that some were missed: then it passes again.
        """
        seen: set[str] = set()
        for _ in range(MOST_PASSES):
            walked = 0
            async for page in walk(
                lambda offset: self.connections([workspace_id], offset=offset), lambda record: record.connection_id
            ):
                walked += len(page.rows)
                for record in page.rows:
                    if record.connection_id not in seen:
                        seen.add(record.connection_id)
                        yield record
            if len(seen) >= walked:
                return
        raise UpstreamInvalid(detail=f"Airbyte's pages kept hiding some of the workspace's {walked} connections")

    async def source_type(self, source_id: str) -> str:
        """Return `shopify`, `postgres`, …; empty for a custom connector. Its configuration is never parsed."""
        return (await self._read(_SOURCE, paths.source(source_id))).source_type

    async def sources(self, workspace_id: str, *, offset: int) -> Page[SourceRecord]:
        """Return a page in no order at all, as `connections` does. Raises UpstreamError."""
        return await self._page(_SOURCE, _as_it_is, paths.sources(workspace_id, offset=offset))

    def source_pages(self, workspace_id: str) -> AsyncIterator[Page[SourceRecord]]:
        """Yield the pages of one pass over a workspace's sources. Raises UpstreamError."""
        return walk(lambda offset: self.sources(workspace_id, offset=offset), lambda source: source.source_id)

    async def workspaces(self, *, offset: int) -> Page[WorkspaceRecord]:
        """Return a page of the workspaces that the credential sees. Raises UpstreamError."""
        return await self._page(_WORKSPACE, checked_workspace, paths.workspaces(offset=offset))

    def workspace_pages(self) -> AsyncIterator[Page[WorkspaceRecord]]:
        """Yield all pages of the workspaces that the credential sees. Raises UpstreamError."""
        return walk(lambda offset: self.workspaces(offset=offset), lambda workspace: workspace.workspace_id)

    async def _page(
        self,
        decoder: Decoder[Record],
        convert: Callable[[Record], Row],
        path: str,
        *,
        caller: Caller = OwnCalls.ROUTINE,
    ) -> Page[Row]:
        raw = await self._read(_PAGE, path, caller=caller)
        return page_of(raw, decoder, convert, self._count_odd)

    async def _read(self, decoder: Decoder[Record], path: str, *, caller: Caller = OwnCalls.ROUTINE) -> Record:
        call = Call(decoder, path.encode("ascii"), caller, deadline_seconds=self._deadlines.read)
        return await self._executor.send(call, self._authorization)

    async def close(self) -> None:
        """End a token call under way and close the socket connections."""
        if isinstance(self._authorization, ClientCredentials):
            await self._authorization.close()
        await self._executor.client.close()


def _without_odd(page: Page[Row]) -> Page[Row]:
    """Return the page. Raises UpstreamInvalid if one of its rows could not be read."""
    if len(page.rows) < page.sent:
        raise UpstreamInvalid(detail="a job of the connection has an unexpected form")
    return page


def _as_it_is(record: Record) -> Record:
    return record
