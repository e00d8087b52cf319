"""The body of a message, and why a sync failed: Airbyte is asked when the event is first sent, not when stored."""

import asyncio
from typing import Protocol

import msgspec
import structlog

from gateway.errors import StorageUnavailable, UpstreamError
from gateway.models import Failure
from gateway.single_flight import SingleFlight
from gateway.store import ClaimedDelivery, Store
from gateway.webhooks.signature import message_body

FAILED = "sync.failed"
FAILURE = "failure"

log = structlog.get_logger()


class FailureReader(Protocol):
    """Whoever knows why jobs failed."""

    async def failure(self, client_id: int, connection_id: str, airbyte_id: str, job_id: int) -> Failure | None:
        """Return why a job of the client's connection failed; None if that is not told. Raises UpstreamError."""
        ...


class Messages:
    """Makes bodies: `{"type", "timestamp", "data"}`, the same for every attempt and webhook."""

    def __init__(self, store: Store, failures: FailureReader, *, explain_seconds: float) -> None:
        self._store = store
        self._failures = failures
        self._seconds = explain_seconds
        self._reads: SingleFlight[int, str] = SingleFlight()
        """By event: the webhooks of a client share it."""

    async def close(self) -> None:
        """Cancel the questions under way."""
        await self._reads.close(cancel=True)

    async def body(self, delivery: ClaimedDelivery) -> bytes:
        """Return the body of a delivery's event."""
        data = delivery.data
        if delivery.event_type == FAILED:
            data = await self._reads.run(delivery.event_number, lambda: self._explained(delivery))
        return message_body(delivery.event_type, delivery.event_at, msgspec.Raw(data.encode()))

    async def _explained(self, delivery: ClaimedDelivery) -> str:
        """Return the event's data with the failure, asked for now unless it is in it."""
        data = msgspec.json.decode(delivery.data)
        if FAILURE in data:
            return delivery.data
        try:
            async with asyncio.timeout(self._seconds):
                failure = await self._failures.failure(
                    delivery.client_id, data["connection"], data["connectionId"], data["jobId"]
                )
            text = _with_failure(data, failure)
            await self._store.events.complete(delivery.client_id, delivery.event_number, data=text)
        except (UpstreamError, StorageUnavailable, TimeoutError) as error:
            # The next attempt asks again; this one does not wait for it.
            log.warning("failure_not_told", event_id=delivery.event_id, detail=getattr(error, "detail", "timeout"))
            return _with_failure(data, None)
        return text


def _with_failure(data: dict[str, object], failure: Failure | None) -> str:
    return msgspec.json.encode({**data, FAILURE: failure}).decode()
