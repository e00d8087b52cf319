"""Find what systemd runs on this machine: which settings and which secret an installed unit of ours names."""

import re
import shlex
from pathlib import Path

import msgspec

from gateway.deployment.systemd import SERVICE, TEMPLATE_UNIT

COMMAND = re.compile(r"^ExecStart=(.*)$", re.MULTILINE)
USER = re.compile(r"^User=(.*)$", re.MULTILINE)
SECRET = re.compile(r"(GATEWAY_AIRBYTE_[A-Z_]+)_FILE=(/.*)")
ENVIRONMENT = re.compile(r"^Environment=(.*)$", re.MULTILINE)
SETTINGS_OPTION = "--settings"


class InstalledUnit(msgspec.Struct, frozen=True, kw_only=True):
    """What a unit file says that a command needs as well."""

    name: str
    settings: Path
    user: str
    secret_variable: str = ""
    """The secret setting that has a file, as a variable; empty if there is none."""
    secret_file: Path | None = None


def find_installed(folder: Path) -> InstalledUnit | None:
    """Return the unit that `gateway install` wrote into `folder`, if there is one that can be read."""
    for name in (SERVICE, TEMPLATE_UNIT):
        try:
            text = (folder / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        settings = _settings_in(text)
        if settings is not None:
            return _unit(name, settings, text)
    return None


def _settings_in(text: str) -> Path | None:
    for line in COMMAND.findall(text):
        words = [word.replace("$$", "$") for word in _words(line)]
        if SETTINGS_OPTION in words[:-1]:
            return Path(words[words.index(SETTINGS_OPTION) + 1])
    return None


def _words(line: str) -> list[str]:
    """Return the words of a line that may be quoted; none of a line that nobody can read."""
    try:
        return [word.replace("%%", "%") for word in shlex.split(line)]
    except ValueError:
        return []


def _unit(name: str, settings: Path, text: str) -> InstalledUnit:
    user = USER.search(text)
    assignments = [word for line in ENVIRONMENT.findall(text) for word in _words(line)]
    secret = next(filter(None, map(SECRET.fullmatch, assignments)), None)
    return InstalledUnit(
        name=name,
        settings=settings,
        user=user.group(1) if user else "root",
        secret_variable=secret.group(1) if secret else "",
        secret_file=Path(secret.group(2)) if secret else None,
    )
