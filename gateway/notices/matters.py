"""What needs the operator now, each matter in one sentence."""

import asyncio
from pathlib import Path

import msgspec

from gateway.airbyte import Airbyte
from gateway.store import Store
from gateway.store.disk import disk_room
from gateway.syncs.last_sync import LastSyncRefresh
from gateway.times import Clock

AIRBYTE_AWAY, CREDENTIAL_REFUSED = "airbyte_away", "credential_refused"
WORKSPACE_REFUSED, SYNCS_FAILING = "workspace_refused", "syncs_failing"
DISK_NEARLY_FULL, BACKUP_OLD = "disk_nearly_full", "backup_old"
SECONDS_PER_HOUR = 3600


class MatterLimits(msgspec.Struct, frozen=True):
    """From when on something needs the operator."""

    away_seconds: float = 300.0
    refresh_seconds: float = 60.0
    """How old the figures may be that are looked at; while nobody else asks, Airbyte is asked as often."""
    backup_folder: Path | None = None
    backup_max_age_hours: float = 48.0


class Found(msgspec.Struct, frozen=True):
    """The matters that last, each with its sentence; and the kinds of which nothing is known yet or at the moment."""

    texts: dict[str, str]
    unknown: frozenset[str] = frozenset()


class Matters:
    """Looks at Airbyte, the clients' syncs, the disk and the backups."""

    def __init__(
        self,
        store: Store,
        airbyte: Airbyte,
        last_sync: LastSyncRefresh,
        limits: MatterLimits,
        *,
        clock: Clock,
        database_path: Path | None,
    ) -> None:
        """`database_path` is None for a server's database, whose disk is not ours."""
        self._store = store
        self._airbyte = airbyte
        self._last_sync = last_sync
        self._limits = limits
        self._database_path = database_path
        self._clock = clock

    async def look(self) -> Found:
        """Return what needs the operator now. Raises StorageUnavailable."""
        await self._last_sync.refresh_if_older(self._limits.refresh_seconds)
        texts, unknown = self._airbyte_s()
        texts |= {
            f"{SYNCS_FAILING}:{client.slug}": f"Syncs of {client.name} fail: the last of {client.connections} "
            f"connection{'s' if client.connections > 1 else ''} did, {client.label} among them."
            for client in await self._store.last_syncs.failing_clients()
        }
        return Found(texts | await asyncio.to_thread(self._of_the_machine), frozenset(unknown))

    def _airbyte_s(self) -> tuple[dict[str, str], set[str]]:
        figures = self._airbyte.figures()
        texts = {
            f"{WORKSPACE_REFUSED}:{workspace}": f"Airbyte does not tell of its workspace {workspace}: "
            "the figures of the clients with connections there are old."
            for workspace in self._last_sync.unread
        }
        if figures.failing_seconds >= self._limits.away_seconds:
            minutes = self._limits.away_seconds / 60
            texts[AIRBYTE_AWAY] = f"Airbyte has given no good answer for {minutes:g} minutes."
        if figures.is_credential_refused:
            texts[CREDENTIAL_REFUSED] = "Airbyte refuses the gateway's credential: nobody can read or sync."
        is_silent = not figures.has_answered or figures.failing_seconds > 0
        return texts, {AIRBYTE_AWAY, CREDENTIAL_REFUSED, WORKSPACE_REFUSED} if is_silent else set()

    def _of_the_machine(self) -> dict[str, str]:
        texts = {}
        if self._database_path is not None:
            room = disk_room(self._database_path)
            if room.is_scarce:
                texts[DISK_NEARLY_FULL] = f"The database's disk has {room.free // 1_000_000} MB left."
        limits = self._limits
        if limits.backup_folder is not None:
            age = self._backup_age_hours(limits.backup_folder)
            if age is None:
                texts[BACKUP_OLD] = f"There is no backup in {limits.backup_folder}, or it cannot be read."
            elif age > limits.backup_max_age_hours:
                texts[BACKUP_OLD] = f"The newest backup is older than {limits.backup_max_age_hours:g} hours."
        return texts

    def _backup_age_hours(self, folder: Path) -> float | None:
        try:
            newest = max((path.stat().st_mtime for path in folder.iterdir() if path.is_file()), default=None)
        except OSError:
            return None
        return None if newest is None else (self._clock.now().timestamp() - newest) / SECONDS_PER_HOUR
