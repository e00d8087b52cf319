"""Read, check and compare settings; keep their secrets from being seen."""

from gateway.settings.reader import SETTINGS_FILE, Origin, ReadSettings, has_settings, load_settings, read_settings
from gateway.settings.tables import (
    AirbyteSettings,
    DashboardSettings,
    DatabaseSettings,
    LogSettings,
    RateLimitSettings,
    ServerSettings,
    Settings,
    Table,
    TracingSettings,
    WebhookSettings,
    tables,
)

__all__ = [
    "SETTINGS_FILE",
    "AirbyteSettings",
    "DashboardSettings",
    "DatabaseSettings",
    "LogSettings",
    "Origin",
    "RateLimitSettings",
    "ReadSettings",
    "ServerSettings",
    "Settings",
    "Table",
    "TracingSettings",
    "WebhookSettings",
    "has_settings",
    "load_settings",
    "read_settings",
    "tables",
]
