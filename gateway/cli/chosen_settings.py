"""Choose the settings of a command: those it is given, this folder's, or those of the service on this machine."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from gateway.deployment.installed import InstalledUnit, find_installed
from gateway.errors import SettingsError
from gateway.settings import SETTINGS_FILE, has_settings


class ChosenSettings(msgspec.Struct, frozen=True):
    """What settings are read from."""

    path: Path | None
    environment: Mapping[str, str]
    notes: tuple[str, ...] = ()
    """For the operator, where something was chosen that the command line does not name."""


def choose_settings(path: Path | None, environment: Mapping[str, str], unit_folder: Path) -> ChosenSettings:
    """Return where the settings are read from. Raises SettingsError if this user may not read the service's.

    Without `path` and without a settings file in the working directory, that is the file of the installed service. With
    the service's file, the service's secret is read too.
    """
    unit = find_installed(unit_folder)
    if unit is None:
        return ChosenSettings(path, environment)
    if path is None:
        if has_settings():
            return ChosenSettings(None, environment, (f"Settings of this folder, not of {unit.name}: {SETTINGS_FILE}",))
        _require_readable(unit)
        return _with_secret(unit, environment, f"Settings of {unit.name}: {unit.settings}")
    if path.resolve() != unit.settings.resolve():
        return ChosenSettings(path, environment)
    return _with_secret(unit, environment)


def _require_readable(unit: InstalledUnit) -> None:
    if not os.access(unit.settings, os.R_OK):
        if os.access(unit.settings.parent, os.X_OK) and not unit.settings.exists():
            raise SettingsError(f"{unit.settings}: no such settings file; {unit.name} names it")
        raise SettingsError(
            f"{unit.settings}: this user may not read the settings of {unit.name}: "
            f"give the command as root or as {unit.user} (runuser -u {unit.user} -- gateway …)"
        )


def _with_secret(unit: InstalledUnit, environment: Mapping[str, str], *notes: str) -> ChosenSettings:
    file_variable = f"{unit.secret_variable}_FILE"
    is_given = not {unit.secret_variable, file_variable}.isdisjoint(environment)
    if is_given or unit.secret_file is None or not unit.secret_variable:
        return ChosenSettings(unit.settings, environment, notes)
    if not os.access(unit.secret_file, os.R_OK):
        lack = f"Without the secret of {unit.name}: {unit.secret_file} cannot be read by this user"
        return ChosenSettings(unit.settings, environment, (*notes, lack))
    return ChosenSettings(unit.settings, {**environment, file_variable: str(unit.secret_file)}, notes)
