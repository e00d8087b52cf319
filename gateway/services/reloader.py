"""Read the settings again while the gateway serves, and apply what may change."""

from collections.abc import Callable

import structlog

from gateway.errors import SettingsError
from gateway.models import RatePolicy
from gateway.services.services import Services
from gateway.settings import Settings
from gateway.settings.brand import Brand, read_brand
from gateway.settings.changes import Change, change_between
from gateway.telemetry.log import change_level

log = structlog.get_logger()


class Reloader:
    """Reads the settings again and applies what may change, between two rounds of the event loop: all or nothing."""

    def __init__(self, read: Callable[[], Settings], settings: Settings, services: Services) -> None:
        """Start from `settings`, which hold now; `read` reads those to come."""
        self._read = read
        self._settings = settings
        self._services = services

    def reload(self) -> str:
        """Read and apply the settings; return a sentence on what came of it. Unreadable settings change nothing."""
        try:
            # In the event loop: files of a few lines, read faster than a thread is started.
            change = change_between(self._settings, self._read())
            brand = read_brand(change.settings)
        except SettingsError as error:
            log.error("settings_refused", detail=str(error))  # noqa: TRY400 - a sentence, not a traceback
            return "Serving with the old settings; the log says why"
        self._apply(change, brand)
        level = log.warning if change.needs_restart else log.info
        level("settings_reloaded", applied=change.applied, needs_restart=change.needs_restart)
        return (
            f"Serving; waiting for a restart: {', '.join(change.needs_restart)}" if change.needs_restart else "Serving"
        )

    def _apply(self, change: Change, brand: Brand) -> None:
        self._settings = settings = change.settings
        services = self._services
        rate = RatePolicy(settings.rate_limit.requests, settings.rate_limit.per_seconds)
        if rate != services.limiter.default:
            services.limiter.change_default(rate)
        services.brand.change(brand)
        services.airbyte.change_credential(*settings.airbyte.credential)
        if "log.level" in change.applied:
            change_level(settings.log.level)
