"""Compare settings: what may change while the gateway serves, and what waits for a restart."""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from gateway.settings.tables import Settings, tables

CREDENTIALS = frozenset({"airbyte.client_id", "airbyte.client_secret", "airbyte.username", "airbyte.password"})
BRAND = frozenset({"dashboard.name", "dashboard.logo_file", "dashboard.color", "dashboard.support"})
CHANGEABLE = CREDENTIALS | BRAND | {"rate_limit.requests", "rate_limit.per_seconds", "log.level"}
CREDENTIALS_ARE_FOR = frozenset({"airbyte.base_url", "airbyte.config_url", "airbyte.auth"})
"""While one of these waits for a restart, new credentials wait too: they are not for the Airbyte asked until then."""


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
