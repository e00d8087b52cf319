"""Carry out, once their jobs run, the wishes to cancel that came while these were pending.

A wish is stored: it is carried out whether or not its caller still waits, after a restart, and by another gateway if
the one that took it has died.
"""

import asyncio
from datetime import timedelta
from functools import partial

import structlog

from gateway.background import Progress
from gateway.errors import JobNotFound, OtherJobRunning, StorageUnavailable, UpstreamBusy, UpstreamError
from gateway.single_flight import SingleFlight
from gateway.store import OpenWish, Store
from gateway.store.leadership import Leadership
from gateway.syncs.backoff import Backoff
from gateway.syncs.cancel_sender import PENDING, CancelSender
from gateway.syncs.job_states import JobStates, WatchedJob
from gateway.syncs.timings import CancelTimings
from gateway.times import Clock, format_time

CANCEL_WISHES = "cancel wishes"
MOST_WISHES = 500
"""Looked after at once, of each client in turn: the others are, when those are carried out."""

log = structlog.get_logger()


class CancelWishes:
    """Looks after open wishes; with several gateways one does."""

    def __init__(
        self,
        store: Store,
        sender: CancelSender,
        states: JobStates,
        clock: Clock,
        *,
        leadership: Leadership,
        timings: CancelTimings,
    ) -> None:
        """`states` are nobody else's."""
        self._cancellations = store.cancellations
        self._sender = sender
        self._states = states
        self._clock = clock
        self._leadership = leadership
        self._timings = timings
        self._failed: Backoff[int] = Backoff(clock, timings.backoff)
        self._woken = asyncio.Event()
        self._clients: SingleFlight[int, None] = SingleFlight()
        """Clients whose wishes are being carried out: nobody's wait for another's."""
        self._interrupted: set[int] = set()
        """Clients for which no call could be made last time, of which the log has told."""

    async def close(self) -> None:
        """Cancel the looks under way, and what is being sent: it is looked at again after the next start."""
        await self._clients.close(cancel=True)
        await self._states.close()

    def wake(self) -> None:
        """Look after wishes now: there is a new one."""
        self._woken.set()

    async def run(self, progress: Progress) -> None:
        """Carry out what is due, again and again, until cancelled."""
        while True:
            self._woken.clear()
            try:
                has_any = await self._run_once()
            except StorageUnavailable as error:
                log.warning("cancels_not_read", detail=error.detail)
                has_any = True
            progress()
            if has_any:
                await asyncio.sleep(self._timings.interval)
            else:
                await self._rest()

    async def _rest(self) -> None:
        try:
            await asyncio.wait_for(self._woken.wait(), self._timings.idle_interval)
        except TimeoutError:
            return

    async def _run_once(self) -> bool:
        """Carry out what is due; return whether there are open wishes. Raises StorageUnavailable."""
        if not await self._open(1):
            return False
        if await self._leadership.acquire(CANCEL_WISHES, seconds=self._timings.lease):
            # Read anew: another gateway may have led until now.
            await self._carry_out(await self._open(MOST_WISHES))
            await self._leadership.complete(CANCEL_WISHES)
        return True

    async def _open(self, limit: int) -> list[OpenWish]:
        now = format_time(self._clock.now())
        return await self._cancellations.open(limit, now=now, sent_before=self._sender.sent_before)

    async def _carry_out(self, wishes: list[OpenWish]) -> None:
        """Begin to carry out each client's wishes, unless that is under way. Raises StorageUnavailable."""
        self._failed.keep_only(wish.number for wish in wishes)
        jobs = {wish.number: _watched(wish) for wish in wishes}
        statuses = await self._states.look(list(jobs.values()), age_seconds=self._timings.refresh_age)
        of_clients: dict[int, list[tuple[OpenWish, str]]] = {}
        for wish in wishes:
            of_clients.setdefault(wish.client_id, []).append((wish, statuses.get(jobs[wish.number], PENDING)))
        self._interrupted.intersection_update(of_clients)
        for client_id, known in of_clients.items():
            self._clients.start(client_id, partial(self._carry_out_of_client, client_id, known))

    async def _carry_out_of_client(self, client_id: int, known: list[tuple[OpenWish, str]]) -> None:
        """Carry out one client's wishes, each with the status known of its job, until no call can be made for it."""
        try:
            for wish, status in known:
                if self._failed.is_due(wish.number):
                    await self._try(wish, status)
        except (UpstreamBusy, StorageUnavailable) as error:
            # This says nothing about the job: no other one of the client's could be cancelled either.
            if client_id not in self._interrupted:
                log.warning("cancels_interrupted", client=client_id, error=error.message, detail=error.detail)
            self._interrupted.add(client_id)
        else:
            self._interrupted.discard(client_id)

    async def _try(self, wish: OpenWish, status: str) -> None:
        """Carry out the wish; whatever is wrong with it alone, the others are carried out.

        Raises UpstreamBusy, StorageUnavailable.
        """
        try:
            await self._carry_out_one(wish, status)
        except (UpstreamBusy, StorageUnavailable):
            raise
        except (UpstreamError, OtherJobRunning) as error:
            log.warning("cancel_not_sent", job=wish.job_id, error=error.message, detail=error.detail)
            self._failed.fail(wish.number)
        except Exception:
            log.exception("cancel_not_sent", job=wish.job_id)
            self._failed.fail(wish.number)

    async def _carry_out_one(self, wish: OpenWish, status: str) -> None:
        """Cancel the job unless `status`, which is known of it, is pending. Raises OtherJobRunning, UpstreamError.

        Raises StorageUnavailable too.
        """
        oldest = format_time(self._clock.now() - timedelta(seconds=self._timings.life))
        if not wish.is_wanted or wish.created_at < oldest:
            await self._sender.resolve(wish, wish.number, "expired" if wish.is_wanted else "withdrawn")
        elif status != PENDING:
            try:
                if await self._sender.send(wish, wish.number) is None:
                    self._failed.fail(wish.number)
            except JobNotFound:
                return


def _watched(wish: OpenWish) -> WatchedJob:
    return WatchedJob(wish.client_id, wish.airbyte_id, wish.workspace_id, wish.job_id, wish.job_type)
