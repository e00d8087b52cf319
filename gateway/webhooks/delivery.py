"""Send events to webhooks, from the queue in the database that all gateways share.

Each event is sent by the gateway that leases its delivery, and again, later, until the receiver has taken it or its
schedule has ended. What a gateway was sending when it died is sent by another one: at least once, never not at all.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import structlog

from gateway.background import Progress
from gateway.errors import StorageUnavailable
from gateway.single_flight import SingleFlight
from gateway.store import ClaimedDelivery, DeliveryAttempt, DueDelivery, Store
from gateway.store.tables.delivery_attempts import Conclusion
from gateway.times import Clock, format_time
from gateway.webhooks.attempts import attempt_of
from gateway.webhooks.choice import UnderWay
from gateway.webhooks.message import Messages
from gateway.webhooks.receipt import Receipt
from gateway.webhooks.signature import signed_headers
from gateway.webhooks.timings import DeliveryLimits, DeliveryTimings

if TYPE_CHECKING:
    from gateway.webhooks.sender import Sender

WEBHOOK_DELIVERY = "webhook delivery"
"""The task that sends events, as logs, /readyz and /metrics name it."""
NOT_SENT = "The gateway could not send it"
MOST_TRIES = 10
"""To store what came of an attempt. With the wait of each for the database they fit into a lease."""

log = structlog.get_logger()


class WebhookDelivery:
    """Sends what is due. One client's webhooks that hang take that client's share alone."""

    def __init__(
        self,
        store: Store,
        messages: Messages,
        sender: "Callable[[], Sender]",
        clock: Clock,
        *,
        holder: str,
        part: Callable[[], float],
        count_attempt: Callable[[str], None],
        timings: DeliveryTimings,
        limits: DeliveryLimits,
    ) -> None:
        """`sender` is asked for once something is due; `holder` names this gateway; `part` returns 0 to 1 at random.

        `count_attempt` is called with how each attempt ended: delivered, failed or given_up.
        """
        self._store = store
        self._messages = messages
        self._make_sender = sender
        self._sender: Sender | None = None
        self._clock = clock
        self._holder = holder
        self._part = part
        self._count_attempt = count_attempt
        self._timings = timings
        self._limits = limits
        self._under_way = UnderWay(limits)
        self._sends: SingleFlight[int, None] = SingleFlight(
            tell=lambda error: log.error("webhook_delivery_failed", exc_info=error)
        )
        self._woken = asyncio.Event()
        self._is_interrupted = False
        """The queue could not be read last time, of which the log has told."""

    async def close(self) -> None:
        """Cancel what is being sent, and free it: another gateway, or the next start, sends it again."""
        was_sending = not self._under_way.is_empty
        await self._sends.close(cancel=True)
        await self._messages.close()
        if was_sending:
            try:
                await self._store.deliveries.release(holder=self._holder)
            except StorageUnavailable as error:
                log.warning("webhook_leases_not_given_up", detail=error.detail)

    async def run(self, progress: Progress) -> None:
        """Send what is due, again and again, until cancelled."""
        if not self._store.is_shared and self._under_way.is_empty:
            # Whoever leases something in a file is a process that died; but for this one, begun anew after an error.
            await self._store.deliveries.release()
        while True:
            self._woken.clear()
            await self._rest(await self._round())
            progress()

    def wake(self) -> None:
        """Look at the queue now: something may be due."""
        self._woken.set()

    async def _round(self) -> float:
        """Begin to send what is due; return the seconds until the next look."""
        try:
            if not await self._store.webhooks.is_any_listening():
                return self._timings.idle_poll
            await self.send_due()
        except StorageUnavailable as error:
            if not self._is_interrupted:
                log.warning("webhook_queue_not_read", detail=error.detail)
            self._is_interrupted = True
            return self._timings.idle_poll
        self._is_interrupted = False
        return self._timings.poll

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return

    async def send_due(self) -> None:
        """Begin to send what is due, as far as there is room. Raises StorageUnavailable."""
        if not self._under_way.has_room:
            return
        now = format_time(self._clock.now())
        deliveries = self._store.deliveries
        due = await deliveries.due(
            now=now,
            of_webhook=self._limits.of_webhook,
            passed_over=self._under_way.full_webhooks,
            clients_passed_over=self._under_way.full_clients,
            passes_over_failing=self._under_way.is_full_of_failing,
        )
        # What is being sent is due again where the process stood still until its lease had ended.
        free = [each for each in due if each.number not in self._sends]
        chosen = {each.number: each for each in self._under_way.choose(free)}
        started: set[int] = set()
        try:
            claimed = (
                await deliveries.claim(list(chosen), holder=self._holder, seconds=self._timings.lease, now=now)
                if chosen
                else ()
            )
            for each in claimed:
                if each.number not in self._sends:
                    self._sends.start(each.number, partial(self._send, chosen[each.number], each))
                    started.add(each.number)
        finally:
            for number in chosen.keys() - started:
                self._under_way.remove(chosen[number])

    async def _send(self, due: DueDelivery, delivery: ClaimedDelivery) -> None:
        try:
            await self._send_once(delivery)
        except StorageUnavailable as error:
            # It is sent again when its lease ends.
            log.warning("webhook_delivery_not_stored", webhook=delivery.webhook_id, detail=error.detail)
        finally:
            self._under_way.remove(due)
            # The next one of its connection may be due.
            self.wake()

    async def _send_once(self, delivery: ClaimedDelivery) -> None:
        """Send the event once and store what came of it. Raises StorageUnavailable."""
        receipt = await self._receipt(delivery)
        attempt = attempt_of(delivery, receipt, now=self._clock.now(), timings=self._timings, part=self._part)
        self._count_attempt("delivered" if attempt.is_success else "failed" if attempt.outcome is None else "given_up")
        conclusion = await self._conclude(delivery, attempt)
        if conclusion == "disabled":
            log.warning("webhook_disabled", webhook=delivery.webhook_id, reason=attempt.disabled_reason)

    async def _conclude(self, delivery: ClaimedDelivery, attempt: DeliveryAttempt) -> Conclusion:
        """Store what came of an attempt. Raises StorageUnavailable when all tries have failed.

        Else the receiver would get the event again, and those behind it would wait until the lease ends.
        """
        for _ in range(MOST_TRIES - 1):
            try:
                return await self._store.deliveries.conclude(delivery, attempt, holder=self._holder)
            except StorageUnavailable:
                await asyncio.sleep(self._timings.store_again)
        return await self._store.deliveries.conclude(delivery, attempt, holder=self._holder)

    async def _receipt(self, delivery: ClaimedDelivery) -> Receipt:
        """Send the event once and return what came of it. Raises StorageUnavailable."""
        try:
            body = await self._messages.body(delivery)
            headers = signed_headers(self._secrets(delivery), delivery.event_id, self._clock.now(), body)
            if self._sender is None:
                self._sender = self._make_sender()
            return await self._sender.send(delivery.url, headers, body)
        except StorageUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - else it would be sent for ever, with no attempt that counts
            # Its text may quote the address, which may be secret.
            log.error("webhook_message_not_sent", webhook=delivery.webhook_id, error=type(error).__name__)  # noqa: TRY400
            return Receipt(None, error=NOT_SENT)

    def _secrets(self, delivery: ClaimedDelivery) -> list[str]:
        """Return the secrets that sign: those before a rotation too, each until its end."""
        now = format_time(self._clock.now())
        previous = [secret.reveal() for secret, until in delivery.previous_secrets if now < until]
        return [delivery.secret.reveal(), *previous]
