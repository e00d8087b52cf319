"""The room's collaborators, built for one gateway."""

import secrets
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from gateway.airbyte import Airbyte
from gateway.cluster.cluster import Cluster
from gateway.store import Store
from gateway.store.leadership import Leadership
from gateway.syncs.attempts import Attempts
from gateway.syncs.backfill import Backfill
from gateway.syncs.cancel import Cancel
from gateway.syncs.cancel_sender import CancelSender
from gateway.syncs.cancel_wishes import CancelWishes
from gateway.syncs.change_reader import ChangeReader
from gateway.syncs.chosen_jobs import ChosenJobs
from gateway.syncs.connection_catalog import ConnectionCatalog
from gateway.syncs.failures import FailureMessages
from gateway.syncs.history import SyncHistory
from gateway.syncs.job_details import JobDetails
from gateway.syncs.job_pages import JobPages
from gateway.syncs.job_states import JobStates
from gateway.syncs.jobs import JobReader
from gateway.syncs.last_sync import LastSyncRefresh
from gateway.syncs.last_sync_recorder import LastSyncRecorder
from gateway.syncs.last_sync_watch import LastSyncWatch
from gateway.syncs.left_over import LeftOverTriggers
from gateway.syncs.outage_watch import OutageWatch
from gateway.syncs.polled_jobs import PolledJobs
from gateway.syncs.reconcile import Reconciler
from gateway.syncs.refresh_leader import RefreshLeader
from gateway.syncs.refusals import Refusals
from gateway.syncs.status_check import StatusCheck
from gateway.syncs.timings import CancelTimings, SyncTimings
from gateway.syncs.trigger import Trigger
from gateway.syncs.trigger_audit import TriggerAudit
from gateway.syncs.trigger_outcomes import TriggerOutcomes
from gateway.syncs.waiting import WaitingCallers
from gateway.syncs.watcher import Watcher
from gateway.syncs.workspace_lists import WorkspaceLists
from gateway.times import Clock


@dataclass(frozen=True, slots=True)
class Syncs:
    """What clients do with their connections."""

    jobs: JobReader
    job_details: JobDetails
    chosen_jobs: ChosenJobs
    trigger: Trigger
    audit: TriggerAudit
    outcomes: TriggerOutcomes
    left_over: LeftOverTriggers
    last_sync: LastSyncRefresh
    last_sync_watch: LastSyncWatch
    backfill: Backfill
    history: SyncHistory
    waiting: WaitingCallers
    watcher: Watcher
    cancel: Cancel
    polled: PolledJobs
    job_pages: JobPages
    catalog: ConnectionCatalog
    attempts: Attempts

    async def close(self) -> None:
        """Wait for triggers and cancels under way; end everything else."""
        await self.watcher.close()
        await self.cancel.close()
        await self.trigger.close()
        await self.jobs.close()
        await self.job_details.close()
        await self.chosen_jobs.close()
        await self.polled.close()
        await self.job_pages.close()
        await self.catalog.close()
        await self.attempts.close()
        await self.history.close()
        await self.last_sync.close()


class SyncOptions(NamedTuple):
    """What operators choose. Last syncs are refreshed when they are `freshness_seconds` old."""

    freshness_seconds: float
    failure_messages: FailureMessages


def build_syncs(
    store: Store,
    airbyte: Airbyte,
    cluster: Cluster,
    clock: Clock,
    *,
    waiting: WaitingCallers,
    options: SyncOptions,
    timings: SyncTimings,
) -> Syncs:
    """Build everything, start nothing."""
    of_trigger, leadership = timings.trigger, cluster.leadership
    recorder, refusals = LastSyncRecorder(store, clock), Refusals(store, airbyte, clock)
    last_sync, backfill = _build_refresh(store, airbyte, cluster, clock, recorder, options=options, timings=timings)
    reconciler, outcomes = Reconciler(airbyte, refusals, of_trigger), TriggerOutcomes(store, clock, of_trigger)
    audit = TriggerAudit(store, airbyte, reconciler, outcomes, clock, member=cluster.membership, timings=of_trigger)
    chosen_jobs = ChosenJobs(store, airbyte, refusals, options.failure_messages, new_bytes=secrets.token_bytes)
    absent, alone = options.freshness_seconds, timings.watch.alone_interval
    states = partial(JobStates, store, airbyte, last_sync, clock, timings.watch)
    watcher = Watcher(store, states(), clock, timings.watch)
    return Syncs(
        jobs=JobReader(store, airbyte, refusals),
        chosen_jobs=chosen_jobs,
        job_details=JobDetails(store, airbyte, options.failure_messages),
        trigger=Trigger(store, airbyte, audit, reconciler, recorder, clock=clock, timings=of_trigger),
        audit=audit,
        outcomes=outcomes,
        left_over=LeftOverTriggers(store, airbyte, outcomes, clock, leadership=leadership, timings=of_trigger),
        last_sync=last_sync,
        last_sync_watch=LastSyncWatch(store, last_sync, leadership, watcher, timings=timings.last_sync),
        backfill=backfill,
        history=SyncHistory(store, airbyte, clock, timings.history),
        waiting=waiting,
        watcher=watcher,
        cancel=_build_cancel(store, airbyte, states(), clock, leadership=leadership, timings=timings.cancel),
        polled=PolledJobs(store, airbyte, last_sync, clock, timings.poll, absent_seconds=absent, alone_seconds=alone),
        job_pages=JobPages(store, airbyte, refusals, last_sync, chosen_jobs.cursor_seal),
        catalog=ConnectionCatalog(store, airbyte, refusals, clock, timings.poll),
        attempts=Attempts(store, airbyte, options.failure_messages, clock, timings.poll),
    )


def _build_refresh(
    store: Store,
    airbyte: Airbyte,
    cluster: Cluster,
    clock: Clock,
    recorder: LastSyncRecorder,
    *,
    options: SyncOptions,
    timings: SyncTimings,
) -> tuple[LastSyncRefresh, Backfill]:
    of_refresh = timings.last_sync
    lists = WorkspaceLists(clock, of_refresh.workspaces, at_once=airbyte.own_calls_at_once)
    backfill = Backfill(store, airbyte, recorder, lists, clock, timings=of_refresh)
    last_sync = LastSyncRefresh(
        store,
        ChangeReader(store, airbyte, recorder, lists, checkpoint_seconds=of_refresh.checkpoint),
        backfill,
        StatusCheck(store, airbyte, clock, of_refresh),
        RefreshLeader(cluster.leadership, timings=of_refresh),
        outage=OutageWatch(store, airbyte, clock),
        clock=clock,
        freshness_seconds=options.freshness_seconds,
        wait_seconds=of_refresh.wait,
    )
    return last_sync, backfill


def _build_cancel(
    store: Store,
    airbyte: Airbyte,
    states: JobStates,
    clock: Clock,
    *,
    leadership: Leadership,
    timings: CancelTimings,
) -> Cancel:
    sender = CancelSender(store, airbyte, clock, timings)
    wishes = CancelWishes(store, sender, states, clock, leadership=leadership, timings=timings)
    return Cancel(store, airbyte, sender, wishes, clock, timings=timings)
