"""What needs the operator now, each matter in one sentence."""

import asyncio
from pathlib import Path

import msgspec

from gateway.airbyte import Airbyte
from gateway.models import DisabledReason, webhook_subject
from gateway.notices.timings import NoticeTimings
from gateway.store import Store
from gateway.store.disk import disk_room
from gateway.syncs.last_sync import LastSyncRefresh
from gateway.times import Clock

AIRBYTE_DOWN, CREDENTIAL_REFUSED = "airbyte_down", "credential_refused"
WORKSPACE_REFUSED, SYNCS_FAILING = "workspace_refused", "syncs_failing"
WEBHOOK_ENDED = "webhook_disabled"
DISK_NEARLY_FULL, BACKUP_OLD = "disk_nearly_full", "backup_old"
WHY: dict[DisabledReason, str] = {
    "gone": "it answered 410, which says that it is gone",
    "failing": "it accepted no event for five days",
}
SECONDS_PER_HOUR = 3600


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
        texts, unknown = self._airbyte_s()
        texts |= {
            f"{SYNCS_FAILING}:{client.slug}": f"Syncs of {client.name} fail: the last of {client.connections} "
            f"connection{'s' if client.connections > 1 else ''} did, {client.label} among them."
            for client in await self._store.totals.failing_clients()
        }
        texts |= {
            f"{WEBHOOK_ENDED}:{webhook.id}": f"The webhook {webhook_subject(webhook.id, webhook.url)} of {client} "
            f"was disabled: {WHY[webhook.disabled_reason or 'failing']}."
            for webhook, client in await self._store.webhooks.disabled()
        }
        of_the_machine = await asyncio.to_thread(self._of_the_machine)
        return Found(texts | of_the_machine.texts, frozenset(unknown) | of_the_machine.unknown)

    def _airbyte_s(self) -> tuple[dict[str, str], set[str]]:
        figures = self._airbyte.figures()
        texts = {
            f"{WORKSPACE_REFUSED}:{workspace}": f"Airbyte does not tell of its workspace {workspace}: "
            "the figures of the clients with connections there are old."
            for workspace in self._last_sync.unread
        }
        if figures.failing_seconds >= self._timings.down:
            minutes = self._timings.down / 60
            texts[AIRBYTE_DOWN] = f"Airbyte has given no good answer for {minutes:g} minutes."
        if figures.is_credential_refused:
            texts[CREDENTIAL_REFUSED] = "Airbyte refuses the gateway's credential: nobody can read or sync."
        is_silent = not figures.has_answered or figures.failing_seconds > 0
        unknown = {AIRBYTE_DOWN, CREDENTIAL_REFUSED} if is_silent else set()
        # Which workspaces are refused is known once a reading came to its end, and as long as it is current.
        return texts, unknown if self._last_sync.is_current_for(()) else {*unknown, WORKSPACE_REFUSED}

    def _of_the_machine(self) -> Found:
        texts: dict[str, str] = {}
        unknown: set[str] = set()
        if self._database_path is not None:
            room = disk_room(self._database_path)
            if room.is_scarce:
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
            newest = max((path.stat().st_mtime for path in folder.iterdir() if path.is_file()), default=None)
        except OSError:
            return None
        return None if newest is None else (self._clock.now().timestamp() - newest) / SECONDS_PER_HOUR
