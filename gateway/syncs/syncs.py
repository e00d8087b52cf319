"""The rules of triggering and listing syncs: what a client may ask of a connection and what Airbyte's answer means.

A trigger is sent once. Whenever it is unclear what became of it, the job list tells: a job that is under way or was
created since is the answer, otherwise the caller learns that the outcome is unknown.
"""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta

import msgspec
import structlog

from gateway.airbyte import (
    MAX_JOBS,
    Airbyte,
    triggered_job_from,
)
from gateway.errors import (
    ApiError,
    BadRequest,
    ConnectionNotFound,
    GatewayError,
    OutcomeUnknown,
    StorageUnavailable,
    UpstreamBusy,
    UpstreamError,
    UpstreamRefused,
    UpstreamUnreachable,
)
from gateway.models import DEPRECATED, Client, Connection, Job, TriggeredJob
from gateway.single_flight import SingleFlight
from gateway.store import Intent, Outcome, Store, TriggerUnderWay
from gateway.syncs.cursor import Cursor
from gateway.syncs.last_sync import LastSyncRefresh
from gateway.syncs.trigger_audit import TriggerAudit
from gateway.times import Clock, format_time

DEFAULT_JOBS = 20
MOST_JOBS = MAX_JOBS
RECENT_JOBS = 5
"""Enough to find the one under way; Airbyte runs one job of a connection at a time."""
CLOCK_MARGIN = timedelta(seconds=2)
"""Airbyte's clock is known to the second it answered in."""
LONGEST_FOLLOW_SECONDS = 80.0
"""As long as a trigger of one's own may take."""
LONGEST_ANSWER_SECONDS = 80.0
"""For a trigger's caller, also if another gateway's was waited for in vain: nginx gives up after 90 s."""
ALREADY_RUNNING = "try-again-later"
STATE_CONFLICT = "state-conflict"
NOT_FOUND = "resource-not-found"
OTHER_JOB_RETRY_SECONDS = 30

log = structlog.get_logger()


class JobPage(msgspec.Struct, frozen=True):
    """Jobs, newest first; `next` asks for the page after, None at the end."""

    jobs: list[Job]
    next: Cursor | None


class Syncs:
    """What clients do with their connections."""

    def __init__(
        self, store: Store, airbyte: Airbyte, last_sync: LastSyncRefresh, audit: TriggerAudit, clock: Clock
    ) -> None:
        self._store = store
        self._airbyte = airbyte
        self._audit = audit
        self._last_sync = last_sync
        self._clock = clock
        self._reads: SingleFlight[tuple[int, str, int, int, str | None], list[Job]] = SingleFlight()
        self._triggers: SingleFlight[tuple[int, str], TriggeredJob] = SingleFlight()

    async def close(self) -> None:
        """Triggers under way are waited for: each may start a job that somebody must learn of."""
        await self._triggers.close(cancel=False)
        await self._reads.close(cancel=True)

    async def jobs(
        self, client: Client, connection_id: str, *, limit: int, status: str | None, cursor: Cursor | None
    ) -> JobPage:
        """A page of the connection's sync jobs. Raises ConnectionNotFound, BadRequest, UpstreamError."""
        airbyte_id = _mapped(await self._owned(client, connection_id))
        offset = cursor.offset if cursor else 0
        asked = min(limit + 1, MAX_JOBS)
        rows = await self._reads.run(
            (client.id, airbyte_id, asked, offset, status),
            lambda: self._read(client, airbyte_id, limit=asked, offset=offset, status=status),
        )
        # New jobs shift every offset: what the page before already showed is dropped by id.
        fresh = [job for job in rows if cursor is None or job.job_id < cursor.last_job_id]
        page = fresh[:limit]
        more = len(rows) == asked and (asked == limit or len(fresh) > limit or len(fresh) < len(rows))
        if not more:
            return JobPage(page, None)
        last = page[-1].job_id if page else cursor.last_job_id if cursor else 0
        return JobPage(page, Cursor(offset + len(rows) - len(fresh) + len(page), last))

    async def trigger(self, client: Client, connection_id: str, *, caller: str, request_id: str) -> TriggeredJob:
        """Start a sync, or attach to the one under way; simultaneous triggers share one call and one audit row.

        `caller` is the id of the key or the user who asks. Raises ConnectionNotFound, BadRequest, UpstreamError;
        OutcomeUnknown when a job may have started; StorageUnavailable when it cannot be written down first, and then
        nothing is sent.
        """
        connection = await self._owned(client, connection_id)
        airbyte_id = _mapped(connection)
        try:
            async with asyncio.timeout(LONGEST_ANSWER_SECONDS):
                return await self._triggers.run(
                    (client.id, airbyte_id),
                    lambda: self._audited(client, connection, airbyte_id, caller=caller, request_id=request_id),
                )
        except TimeoutError:
            raise OutcomeUnknown(detail=f"still under way after {LONGEST_ANSWER_SECONDS} s") from None

    async def _owned(self, client: Client, connection_id: str) -> Connection:
        connections = await self._store.connections.of_client(client.id)
        try:
            return connections.by_id[connection_id]
        except KeyError:
            raise ConnectionNotFound from None

    async def _read(self, client: Client, airbyte_id: str, *, limit: int, offset: int, status: str | None) -> list[Job]:
        try:
            rows = await self._airbyte.jobs(airbyte_id, caller=client.slug, limit=limit, offset=offset, status=status)
        except UpstreamRefused as refusal:
            raise await self._meaning(refusal, airbyte_id) from refusal
        # Airbyte breaks ties of its order by chance and may repeat a row over a page's edge.
        return sorted({job.job_id: job for job in rows}.values(), key=_age)

    async def _audited(
        self, client: Client, connection: Connection, airbyte_id: str, *, caller: str, request_id: str
    ) -> TriggeredJob:
        """Trigger between two writes: the intent, without which nothing is sent, and the outcome.

        While another gateway is at it, its outcome is waited for: two triggers at once would be two jobs. If that
        gateway dies, what it has started may be there already.
        """
        left_by: TriggerUnderWay | None = None
        give_up_at = self._clock.monotonic() + LONGEST_FOLLOW_SECONDS
        while True:
            intent = self._intent(client, connection, airbyte_id, caller=caller, request_id=request_id)
            try:
                number = await self._audit.begin(intent)
                break
            except TriggerUnderWay as other:
                ended = await self._audit.follow(client.id, other)
                left_by = None if ended else other
            followed = await self._led_to(client, airbyte_id, ended) if ended else None
            if followed is not None:
                return triggered_job_from(followed)
            if self._clock.monotonic() > give_up_at:
                raise UpstreamBusy(detail="another gateway's trigger does not end")
        try:
            started = await self._started_since(client, airbyte_id, left_by.since) if left_by else None
            job = started or await self._trigger(client, connection, airbyte_id, intent.since)
        except ApiError as error:
            await self._audit.fail(client.id, number, error)
            raise
        await self._audit.succeed(client.id, number, job.job_id)
        await self._note(job, airbyte_id)
        return triggered_job_from(job)

    def _intent(
        self, client: Client, connection: Connection, airbyte_id: str, *, caller: str, request_id: str
    ) -> Intent:
        return Intent(
            client_id=client.id,
            connection_id=connection.id,
            airbyte_id=airbyte_id,
            caller=caller,
            request_id=request_id,
            created_at=format_time(self._clock.now()),
            since=format_time(self._airbyte.now() - CLOCK_MARGIN),
        )

    async def _led_to(self, client: Client, airbyte_id: str, ended: Outcome) -> Job | None:
        """The job of another gateway's trigger. None if it led to none: worth a try of one's own."""
        if ended.job_id is None:
            if ended.outcome == OutcomeUnknown.outcome:
                raise OutcomeUnknown(detail="so it was for the trigger of another gateway")
            return None
        jobs = await self._recent(client, airbyte_id)
        return next((job for job in jobs if job.job_id == ended.job_id), None)

    async def _started_since(self, client: Client, airbyte_id: str, since: str) -> Job | None:
        jobs = await self._recent(client, airbyte_id)
        return _created_since([job for job in jobs if job.job_type == "sync"], since)

    async def _trigger(self, client: Client, connection: Connection, airbyte_id: str, since: str) -> Job:
        try:
            return await self._airbyte.create_job(airbyte_id, caller=client.slug)
        except UpstreamRefused as refusal:
            return await self._attach(refusal, client, connection, airbyte_id, since)
        except UpstreamError as error:
            if not error.reached:
                raise
            return await self._reconcile(error, client, connection, airbyte_id, since)

    async def _attach(
        self, refusal: UpstreamRefused, client: Client, connection: Connection, airbyte_id: str, since: str
    ) -> Job:
        """The job that made Airbyte refuse, or the error that tells the caller why there is none."""
        if refusal.title == ALREADY_RUNNING:
            jobs = await self._recent(client, airbyte_id)
            running = next((job for job in jobs if not job.is_terminal), None)
            if running is not None and running.job_type != "sync":
                raise UpstreamBusy(retry_after=OTHER_JOB_RETRY_SECONDS, detail=f"a {running.job_type} is running")
            job = running or _created_since(jobs, since)
            if job is not None:
                return job
            await self._require_active(airbyte_id)
            raise UpstreamBusy(detail="Airbyte said a sync was running, but it has ended")
        if refusal.title == STATE_CONFLICT:
            await self._require_active(airbyte_id)
            return await self._reconcile(refusal, client, connection, airbyte_id, since)
        raise await self._meaning(refusal, airbyte_id)

    async def _reconcile(
        self, cause: UpstreamError, client: Client, connection: Connection, airbyte_id: str, since: str
    ) -> Job:
        """The job an ambiguous trigger led to. Raises OutcomeUnknown when looking does not tell."""
        try:
            jobs = await self._recent(client, airbyte_id)
        except UpstreamError as error:
            raise OutcomeUnknown(detail=f"{cause.detail}; then: {error.detail}") from cause
        syncs = [job for job in jobs if job.job_type == "sync"]
        job = next((job for job in syncs if not job.is_terminal), None) or _created_since(syncs, since)
        if job is None:
            raise OutcomeUnknown(detail=cause.detail) from cause
        log.info("trigger_reconciled", connection=connection.id, job=job.job_id, cause=cause.detail)
        return job

    async def _recent(self, client: Client, airbyte_id: str) -> list[Job]:
        return await self._airbyte.jobs(
            airbyte_id,
            caller=client.slug,
            limit=RECENT_JOBS,
            sync_only=False,
            reconciling=True,
        )

    async def _require_active(self, airbyte_id: str) -> None:
        """Look at the connection itself, and remember its status. Raises BadRequest unless it is active."""
        try:
            record = await self._airbyte.connection(airbyte_id)
        except UpstreamRefused as refusal:
            raise await self._meaning(refusal, airbyte_id) from refusal
        await self._remember_status(airbyte_id, record.status)
        if record.status != "active":
            raise BadRequest(f"Connection is not active in Airbyte (status: {record.status})")

    async def _meaning(self, refusal: UpstreamRefused, airbyte_id: str) -> GatewayError:
        """What a 4xx about a connection of ours means for its owner, whose own request was fine."""
        if refusal.upstream_status == 404 and refusal.title == NOT_FOUND:  # noqa: PLR2004 - HTTP's own number
            await self._remember_status(airbyte_id, DEPRECATED)
            return ConnectionNotFound(detail=f"Airbyte has no connection {airbyte_id}")
        if refusal.upstream_status == 403:  # noqa: PLR2004 - HTTP's own number
            log.error("airbyte_forbidden", airbyte_id=airbyte_id)
            return UpstreamUnreachable(detail="403: the credential may not read this connection")
        return refusal

    async def _remember_status(self, airbyte_id: str, status: str) -> None:
        await self._quietly(
            self._store.last_syncs.record_statuses([(airbyte_id, status)], checked_at=format_time(self._clock.now()))
        )

    async def _note(self, job: Job, airbyte_id: str) -> None:
        await self._quietly(self._last_sync.note(job, airbyte_id))

    async def _quietly(self, write: Awaitable[None]) -> None:
        """What only saves a later look must not cost the caller his answer."""
        try:
            await write
        except StorageUnavailable as error:
            log.warning("not_recorded", detail=error.detail)


def _mapped(connection: Connection) -> str:
    if connection.airbyte_id is None:
        raise BadRequest("Connection has no Airbyte mapping")
    return connection.airbyte_id


def _created_since(jobs: list[Job], since: str) -> Job | None:
    return next((job for job in jobs if job.start_time is not None and job.start_time >= since), None)


def _age(job: Job) -> int:
    return -job.job_id
