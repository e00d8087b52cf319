"""Cancel a job of a client's connection; one that is pending is cancelled once it runs (`cancel_wishes.py`)."""

import asyncio

import msgspec
import structlog

from gateway.airbyte import Airbyte
from gateway.errors import OtherJobRunning, UpstreamBusy, UpstreamError
from gateway.models import Client, Connection, Job
from gateway.single_flight import SingleFlight
from gateway.store import CancelWish, Store
from gateway.syncs.cancel_sender import PENDING, CancelSender
from gateway.syncs.cancel_wishes import CancelWishes
from gateway.syncs.connections import airbyte_id_of, require_still_mapped
from gateway.syncs.job_details import job_number
from gateway.syncs.timings import CancelTimings
from gateway.times import Clock, format_time

log = structlog.get_logger()


class CancelRequest(msgspec.Struct, frozen=True):
    """A job of one of the client's connections. `job_id` is text as the caller gave it, `caller` the id of his key."""

    client: Client
    connection_id: str
    job_id: str
    caller: str
    request_id: str


class Cancelled(msgspec.Struct, frozen=True):
    """The job, and whether all is done; if not it is cancelled once it runs, or by whoever is at it already."""

    job: Job
    is_done: bool


class Cancel:
    """Cancels jobs for clients; simultaneous callers about one job share its calls to Airbyte."""

    def __init__(
        self,
        store: Store,
        airbyte: Airbyte,
        sender: CancelSender,
        wishes: CancelWishes,
        clock: Clock,
        *,
        timings: CancelTimings,
    ) -> None:
        self._store = store
        self._airbyte = airbyte
        self._sender = sender
        self.wishes = wishes
        self._clock = clock
        self._timings = timings
        self._flights: SingleFlight[tuple[int, str, int], Cancelled] = SingleFlight()

    async def close(self) -> None:
        """Wait for what is being sent."""
        await self._flights.close(cancel=False)
        await self.wishes.close()

    async def cancel(self, request: CancelRequest) -> Cancelled:
        """Cancel the job if its connection is doing it; note that it is to be cancelled if it is pending.

        A job that has ended is left alone. Raises ConnectionNotFound, BadRequest, JobNotFound, OtherJobRunning,
        UpstreamError; StorageUnavailable, TooManyCancels, and then nothing was sent.
        """
        client, connection_id = request.client, request.connection_id
        airbyte_id = await airbyte_id_of(self._store, client, connection_id)
        job_id = job_number(request.job_id)
        cancelled = await self._flights.run(
            (client.id, airbyte_id, job_id), lambda: self._cancel(request, airbyte_id, job_id)
        )
        await require_still_mapped(self._store, client, connection_id, airbyte_id)
        return cancelled

    async def _cancel(self, request: CancelRequest, airbyte_id: str, job_id: int) -> Cancelled:
        job = await self._sender.look(request.client.id, airbyte_id, job_id)
        if job.is_terminal:
            return Cancelled(job, is_done=True)
        wish = CancelWish(
            client_id=request.client.id,
            connection_id=request.connection_id,
            airbyte_id=airbyte_id,
            job_id=job.job_id,
            job_type=job.job_type,
            caller=request.caller,
            request_id=request.request_id,
            created_at=format_time(self._clock.now()),
        )
        number = await self._store.cancellations.begin(wish)
        sent = None if number is None or job.status == PENDING else await self._send(wish, number)
        if sent is None:
            self.wishes.wake()
            return Cancelled(job, is_done=False)
        return Cancelled(sent, is_done=True)

    async def _send(self, wish: CancelWish, number: int) -> Job | None:
        """Return the job that was cancelled; None if that is tried again. Raises as `send` of the sender.

        When another job runs by now, the wish is no more: its caller is told so, as if that job had been seen at first.
        """
        try:
            return await self._sender.send(wish, number)
        except OtherJobRunning:
            await self._sender.resolve(wish, number, "withdrawn")
            raise
        except UpstreamBusy as error:
            log.warning("cancel_not_sent", job=wish.job_id, error=error.message, detail=error.detail)
            return None

    async def awaited(self, client: Client, connection: Connection) -> frozenset[int]:
        """Return the connection's jobs that are to be cancelled and are not yet. Raises StorageUnavailable."""
        if connection.airbyte_id is None:
            return frozenset()
        now = format_time(self._clock.now())
        return await self._store.cancellations.jobs_of(client.id, connection.airbyte_id, now=now)

    async def read(self, request: CancelRequest, job: Job, *, status: str) -> Job:
        """Return the job, which has ended by now; as it was, with its new `status`, if Airbyte cannot be asked."""
        try:
            async with asyncio.timeout(self._timings.read):
                found = await self._airbyte.jobs.of_connection(job.connection_id, job.job_id, caller=request.client.id)
        except (TimeoutError, UpstreamError):
            found = None
        return found or msgspec.structs.replace(job, status=status)
