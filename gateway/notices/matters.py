"""What needs the operator now, each matter in one sentence."""

import asyncio
from datetime import timedelta
from pathlib import Path

import msgspec

from gateway.airbyte import Airbyte
from gateway.models import DisabledReason, webhook_subject
from gateway.notices.timings import NoticeTimings
from gateway.store import Store
from gateway.store.disk import DiskRoom, disk_room
from gateway.store.tables.totals import FailingClient
from gateway.store.tables.waiting_deliveries import MOST_EVENTS_WAITING
from gateway.syncs.last_sync import LastSyncRefresh
from gateway.times import Clock, format_time, parse_time

AIRBYTE_DOWN, CREDENTIAL_REFUSED = "airbyte_down", "credential_refused"
WORKSPACE_REFUSED, SYNCS_FAILING = "workspace_refused", "syncs_failing"
WEBHOOK_ENDED, QUEUE_FULL = "webhook_disabled", "webhook_queue_full"
DISK_NEARLY_FULL, BACKUP_OLD = "disk_nearly_full", "backup_old"
WHY: dict[DisabledReason, str] = {
    "gone": "it answered 410, which says that it is gone",
    "failing": "it accepted no event for five days",
}
SECONDS_PER_HOUR = 3600
PART = ".part"
"""The end of a backup's name until it is whole."""
OVERFLOW_LASTS = timedelta(days=1)
"""After the last event that was given up: then the queue of a webhook is no matter any more."""


class BackupLimit(msgspec.Struct, frozen=True):
    """Where backups are written, and how old the newest file there may be. Without a folder nobody looks."""

    folder: Path | None = None
    max_age_hours: float = 48.0


class Found(msgspec.Struct, frozen=True):
    """The matters that last, each with its sentence; and the kinds of which nothing is known yet or at the moment."""

    texts: dict[str, str]
    unknown: frozenset[str] = frozenset()


class Matters:
    """Looks at Airbyte, the clients' syncs and webhooks, the disk and the backups."""

    def __init__(
        self,
        store: Store,
        airbyte: Airbyte,
        last_sync: LastSyncRefresh,
        backups: BackupLimit,
        *,
        clock: Clock,
        database_path: Path | None,
        timings: NoticeTimings,
    ) -> None:
        """`database_path` is None for a server's database, whose disk is not ours."""
        self._store = store
        self._airbyte = airbyte
        self._last_sync = last_sync
        self._backups = backups
        self._database_path = database_path
        self._timings = timings
        self._clock = clock

    async def look(self) -> Found:
        """Return what needs the operator now. Raises StorageUnavailable."""
        await self._last_sync.refresh_if_older(self._timings.interval)
        texts, unknown = await self._airbyte_s()
        texts |= {
            f"{SYNCS_FAILING}:{client.slug}": f"Syncs of {client.name} fail: the last of {_which(client)}."
            for client in await self._store.totals.failing_clients()
        }
        texts |= await self._of_webhooks()
        of_the_machine = await asyncio.to_thread(self._of_the_machine)
        return Found(texts | of_the_machine.texts, frozenset(unknown) | of_the_machine.unknown)

    async def _of_webhooks(self) -> dict[str, str]:
        webhooks = self._store.webhooks
        disabled = {
            f"{WEBHOOK_ENDED}:{webhook.id}": f"The webhook {webhook_subject(webhook.id, webhook.url)} of {client} "
            f"was disabled: {WHY[webhook.disabled_reason or 'failing']}."
            for webhook, client in await webhooks.disabled()
        }
        since = format_time(self._clock.now() - OVERFLOW_LASTS)
        return disabled | {
            f"{QUEUE_FULL}:{webhook.id}": f"The webhook {webhook_subject(webhook.id, webhook.url)} of {client} takes "
            f"events too slowly: more than {MOST_EVENTS_WAITING:,} waited, and the oldest were given up."
            for webhook, client in await webhooks.overflowed(since=since)
        }

    async def _airbyte_s(self) -> tuple[dict[str, str], set[str]]:
        figures = self._airbyte.figures()
        texts = {
            f"{WORKSPACE_REFUSED}:{workspace}": f"Airbyte does not tell of its workspace {workspace}: "
            "the figures of the clients with connections there are old."
            for workspace in self._last_sync.unread
        }
        if await self._failing_seconds(figures.failing_seconds) >= self._timings.down:
            minutes = self._timings.down / 60
            texts[AIRBYTE_DOWN] = f"Airbyte has given no good answer for {minutes:g} minutes."
        if figures.is_credential_refused:
            texts[CREDENTIAL_REFUSED] = "Airbyte refuses the gateway's credential: nobody can read or sync."
        is_silent = not figures.has_answered or figures.failing_seconds > 0
        unknown = {AIRBYTE_DOWN, CREDENTIAL_REFUSED} if is_silent else set()
        # Which workspaces are refused is known once a reading came to its end, and as long as it is current.
        return texts, unknown if self._last_sync.is_current_for(()) else {*unknown, WORKSPACE_REFUSED}

    async def _failing_seconds(self, here: float) -> float:
        """Return for how long Airbyte has failed: `here`, where calls fail, or longer by the outage that was noted.

        Another gateway may have noted it, or an earlier one. Without a token no call is made, and so none fails.
        """
        outage = await self._store.outages.current()
        if outage is None or outage.trouble.kind == "credential":
            return here
        return max(here, (self._clock.now() - parse_time(outage.since)).total_seconds())

    def _of_the_machine(self) -> Found:
        texts: dict[str, str] = {}
        unknown: set[str] = set()
        if self._database_path is not None:
            room = _room(self._database_path)
            if room is None:
                unknown.add(DISK_NEARLY_FULL)
            elif room.is_scarce:
                texts[DISK_NEARLY_FULL] = f"The database's disk has {room.free // 1_000_000} MB left."
            elif not room.is_ample:
                unknown.add(DISK_NEARLY_FULL)
        backups = self._backups
        if backups.folder is not None:
            age = self._backup_age_hours(backups.folder)
            if age is None:
                texts[BACKUP_OLD] = f"There is no backup in {backups.folder}, or it cannot be read."
            elif age > backups.max_age_hours:
                texts[BACKUP_OLD] = f"The newest backup is older than {backups.max_age_hours:g} hours."
        return Found(texts, frozenset(unknown))

    def _backup_age_hours(self, folder: Path) -> float | None:
        try:
            written = [time for path in folder.iterdir() if (time := _written_at(path)) is not None]
        except OSError:
            return None
        return (self._clock.now().timestamp() - max(written)) / SECONDS_PER_HOUR if written else None


def _which(client: FailingClient) -> str:
    if client.connections == 1:
        return f"{client.label} did"
    return f"{client.connections} connections did, {client.label} among them"


def _room(path: Path) -> DiskRoom | None:
    """Return the room on the database's disk; None if it cannot be told now."""
    try:
        return disk_room(path)
    except OSError:
        return None


def _written_at(path: Path) -> float | None:
    """Return when a backup was written; None for what is none: a folder, one that was not finished or just removed."""
    try:
        return path.stat().st_mtime if path.is_file() and path.suffix != PART else None
    except FileNotFoundError:
        return None
