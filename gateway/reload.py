"""What of the settings may change while the gateway serves, and how it does. All else waits for a restart."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec
import structlog

from gateway.errors import SettingsError
from gateway.log import change_level
from gateway.models import RatePolicy
from gateway.services import Services
from gateway.settings import Settings, tables

CREDENTIALS = frozenset({"airbyte.client_id", "airbyte.client_secret", "airbyte.username", "airbyte.password"})
CHANGEABLE = CREDENTIALS | {"rate_limit.requests", "rate_limit.per_seconds", "log.level"}
CREDENTIALS_ARE_FOR = frozenset({"airbyte.base_url", "airbyte.auth"})
"""While one of these waits for a restart, new credentials wait too: they are not for the Airbyte asked until then."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Change:
    """From one set of settings to the next: `settings` hold from now on."""

    settings: Settings
    applied: tuple[str, ...]
    needs_restart: tuple[str, ...]


def change_between(old: Settings, new: Settings) -> Change:
    """Decide by name. Values are not told: some are secret."""
    changed = {name for name, _, _ in _differences(old, new)}
    waiting = changed - CHANGEABLE
    if waiting & CREDENTIALS_ARE_FOR:
        waiting |= changed & CREDENTIALS
    settings = old
    for name, table, key in _differences(old, new):
        if name not in waiting:
            value = getattr(getattr(new, table), key)
            replaced = msgspec.structs.replace(getattr(settings, table), **{key: value})
            settings = msgspec.structs.replace(settings, **{table: replaced})
    return Change(settings, tuple(sorted(changed - waiting)), tuple(sorted(waiting)))


def _differences(old: Settings, new: Settings) -> Iterator[tuple[str, str, str]]:
    for table in tables():
        before, after = getattr(old, table), getattr(new, table)
        for key in before.__struct_fields__:
            if getattr(before, key) != getattr(after, key):
                yield f"{table}.{key}", table, key


class Reloader:
    """Reads the settings again and applies what may change, between two turns of the event loop: all or nothing."""

    def __init__(self, read: Callable[[], Settings], settings: Settings, services: Services) -> None:
        """`settings` are those that hold now."""
        self._read = read
        self._settings = settings
        self._services = services

    def reload(self) -> str:
        """A sentence on what came of it. Settings that cannot be read change nothing."""
        try:
            # In the event loop: files of a few lines, read faster than a thread is started.
            change = change_between(self._settings, self._read())
        except SettingsError as error:
            log.error("settings_refused", detail=str(error))  # noqa: TRY400 - a sentence, not a traceback
            return "Serving with the old settings; the log says why"
        self._apply(change)
        level = log.warning if change.needs_restart else log.info
        level("settings_reloaded", applied=change.applied, needs_restart=change.needs_restart)
        return (
            f"Serving; waiting for a restart: {', '.join(change.needs_restart)}" if change.needs_restart else "Serving"
        )

    def _apply(self, change: Change) -> None:
        self._settings = settings = change.settings
        services = self._services
        rate = RatePolicy(settings.rate_limit.requests, settings.rate_limit.per_seconds)
        if rate != services.limiter.default:
            services.limiter.change_default(rate, services.clock.monotonic())
        services.airbyte.change_credential(*settings.airbyte.credential)
        if "log.level" in change.applied:
            change_level(settings.log.level)
