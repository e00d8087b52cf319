"""Settings that are gone: their old default is ignored, anything else is refused with the name of their successor."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from gateway.errors import SettingsError


class Removed(NamedTuple):
    """A setting that is gone: `default` asks for what now always holds."""

    default: str
    successor: str


REMOVED: Mapping[str, Removed] = MappingProxyType(
    {
        "server.workers": Removed(
            "1", "run several gateways instead, a port each: gateway install --systemd --instances N"
        ),
    }
)
"""By dotted key."""


def check_removed(origin: object, key: str, value: object) -> None:
    """Ignore the old default of a removed setting. Raises SettingsError, naming the successor, for another value."""
    removed = REMOVED[key]
    if str(value) != removed.default:
        raise SettingsError(f"{origin} was removed: {removed.successor}")
