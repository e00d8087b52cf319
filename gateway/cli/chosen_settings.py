"""Choose the settings of a command: those it is given, this folder's, or those of the service on this machine."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from gateway.deployment.installed import InstalledUnit, find_installed, read_environment
from gateway.errors import SettingsError
from gateway.settings import SETTINGS_FILE, has_settings

FILE_VARIABLE = "_FILE"
"""At the end of a variable that names the file of a secret."""
CREDENTIAL_FILES = ("GATEWAY_AIRBYTE_CLIENT_SECRET_FILE", "GATEWAY_AIRBYTE_PASSWORD_FILE")
"""What most commands can do without."""
NOTIFY_SOCKET = "NOTIFY_SOCKET"
"""Set by systemd for the service's own commands (sd_notify(3))."""


class ChosenSettings(msgspec.Struct, frozen=True):
    """What settings are read from."""

    path: Path | None
    environment: Mapping[str, str]
    notes: tuple[str, ...] = ()
    """For the operator, where something was chosen that the command line does not name."""


def choose_settings(path: Path | None, environment: Mapping[str, str], unit_folder: Path) -> ChosenSettings:
    """Return where the settings are read from. Raises SettingsError if this user may not read the service's.

    Without `path` and without a settings file in the working directory, that is the file of the installed service. With
    the service's file, the variables that the service gets are read too.
    """
    if path is not None and NOTIFY_SOCKET in environment:
        # systemd gave the service its variables, also from files that the service's user may not read.
        return ChosenSettings(path, environment)
    unit = find_installed(unit_folder)
    if unit is None:
        return ChosenSettings(path, environment)
    if path is None:
        if has_settings():
            return ChosenSettings(None, environment, (f"Settings of this folder, not of {unit.name}: {SETTINGS_FILE}",))
        _require_readable(unit)
        return _with_variables(unit, environment, f"Settings of {unit.name}: {unit.settings}")
    if path.resolve() != unit.settings.resolve():
        return ChosenSettings(path, environment)
    return _with_variables(unit, environment)


def _require_readable(unit: InstalledUnit) -> None:
    if not os.access(unit.settings, os.R_OK):
        if os.access(unit.settings.parent, os.X_OK) and not unit.settings.exists():
            raise SettingsError(f"{unit.settings}: no such settings file; {unit.name} names it")
        raise SettingsError(
            f"{unit.settings}: this user may not read the settings of {unit.name}: "
            f"give the command as root or as {unit.user} (runuser -u {unit.user} -- gateway …)"
        )


def _with_variables(unit: InstalledUnit, environment: Mapping[str, str], *notes: str) -> ChosenSettings:
    """Return the service's settings; a variable of the command's own environment comes before the service's."""
    given = {variable.removesuffix(FILE_VARIABLE) for variable in environment}
    theirs = read_environment(unit)
    taken = {name: value for name, value in theirs.items() if name.removesuffix(FILE_VARIABLE) not in given}
    lacking = [name for name in CREDENTIAL_FILES if name in taken and not os.access(taken[name], os.R_OK)]
    for name in lacking:
        notes += (f"Without the secret of {unit.name}: {taken.pop(name)} cannot be read by this user",)
    return ChosenSettings(unit.settings, {**taken, **environment}, notes)
