"""Find what systemd runs on this machine: which settings an installed unit of ours names, and its environment."""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from gateway.deployment.systemd import SERVICE, SOCKET, TEMPLATE_UNIT
from gateway.errors import SettingsError

CONTINUED = re.compile(r"\\\n\s*")
"""A line that goes on in the next one."""
COMMENT_MARKS = ("#", ";")
SOCKET_ADDRESS = re.compile(r"(?:[0-9.]+|\[[0-9a-f:.]+\]):[0-9]+")
ENABLED_UNITS = "multi-user.target.wants"
"""The folder in which systemd keeps links to what `systemctl enable` named."""
SETTINGS_OPTION = "--settings"
OUR_VARIABLES = "GATEWAY_"
OPTIONAL = "-"
"""Before the path of a file that need not be there."""

Directive = tuple[str, str]


class InstalledUnit(msgspec.Struct, frozen=True, kw_only=True):
    """What a unit file and its drop-ins say that a command needs as well."""

    name: str
    settings: Path
    user: str
    environment: Mapping[str, str]
    """Of its variables those that may be settings of ours."""
    environment_files: tuple[str, ...] = ()
    """As the unit names them. They win over `environment`, each over those before it."""
    unread: tuple[Path, ...] = ()
    """Drop-ins that this user may not read."""
    listen: str = ""
    """Where its socket listens, as HOST:PORT; empty if it has none, or it listens at something else."""


def find_installed(folder: Path) -> InstalledUnit | None:
    """Return the unit that `gateway install` wrote into `folder`, if there is one that can be read."""
    for name in _in_order(folder):
        texts = _texts(folder, name)
        directives = _directives(texts)
        settings = _settings_in(directives)
        if settings is not None:
            unread = tuple(path for path, text in texts.items() if text is None)
            listen = _listen(_directives(_texts(folder, SOCKET))) if name == SERVICE else ""
            return _unit(name, settings, directives, unread, listen)
    return None


def _in_order(folder: Path) -> tuple[str, str]:
    """Return our units, first the one that is enabled: who went on to several gateways may still have the other."""
    enabled = {path.name for path in (folder / ENABLED_UNITS).glob("gateway*.service")}
    return (SERVICE, TEMPLATE_UNIT) if SERVICE in enabled or not enabled else (TEMPLATE_UNIT, SERVICE)


def read_environment(unit: InstalledUnit) -> dict[str, str]:
    """Return the variables of the service that may be settings. Raises SettingsError if this user may not read them."""
    if unit.unread:
        raise _may_not_read(unit.unread[0], unit)
    found = dict(unit.environment)
    for named in unit.environment_files:
        path = Path(named.removeprefix(OPTIONAL))
        try:
            found |= _ours(_assignments(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            # Without "-" systemd does not start the service: that is told by the service.
            continue
        except (OSError, UnicodeDecodeError):
            raise _may_not_read(path, unit) from None
    return found


def _may_not_read(path: Path, unit: InstalledUnit) -> SettingsError:
    return SettingsError(
        f"{path}: this user cannot read what {unit.name} takes from there: "
        f"give the command as root (or as {unit.user}, once it may read the file)"
    )


def _texts(folder: Path, name: str) -> dict[Path, str | None]:
    """Return the text of a unit file, and those of its drop-ins in their order; None for what cannot be read."""
    paths = [folder / name, *sorted((folder / f"{name}.d").glob("*.conf"))]
    return {path: _text_of(path) for path in paths}


def _text_of(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _directives(texts: Mapping[Path, str | None]) -> list[Directive]:
    return [directive for text in texts.values() if text is not None for directive in _lines(text)]


def _lines(text: str) -> Iterator[Directive]:
    for line in CONTINUED.sub(" ", text).splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.lstrip().startswith(COMMENT_MARKS):
            yield name.strip(), value.strip()


def _values(directives: Iterable[Directive], wanted: str) -> list[str]:
    """Return the values of a directive that may stand there often; an empty one takes back those before it."""
    found: list[str] = []
    for name, value in directives:
        if name == wanted:
            found = [*found, value] if value else []
    return found


def _settings_in(directives: Iterable[Directive]) -> Path | None:
    for line in reversed(_values(directives, "ExecStart")):
        words = [word.replace("%%", "%").replace("$$", "$") for word in _words(line)]
        if SETTINGS_OPTION in words[:-1]:
            return Path(words[words.index(SETTINGS_OPTION) + 1])
    return None


def _words(line: str) -> list[str]:
    """Return the words of a line that may be quoted; none of a line that nobody can read."""
    try:
        return shlex.split(line)
    except ValueError:
        return []


def _listen(directives: Iterable[Directive]) -> str:
    addresses = _values(directives, "ListenStream")
    return addresses[0] if len(addresses) == 1 and SOCKET_ADDRESS.fullmatch(addresses[0]) else ""


def _unit(
    name: str, settings: Path, directives: list[Directive], unread: tuple[Path, ...], listen: str
) -> InstalledUnit:
    words = [word for line in _values(directives, "Environment") for word in _words(line)]
    # What is an instance's own, as its port in %i, is not the command's.
    assignments = (word.replace("%%", "%") for word in words if "%" not in word.replace("%%", ""))
    return InstalledUnit(
        name=name,
        settings=settings,
        user=(_values(directives, "User") or ["root"])[-1],
        environment=_ours(assignment.partition("=") for assignment in assignments),
        environment_files=tuple(_values(directives, "EnvironmentFile")),
        unread=unread,
        listen=listen,
    )


def _assignments(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield the assignments of an environment file (systemd.exec(5)): a line each, quoted or not."""
    for name, value in _lines(text):
        yield name, "=", " ".join(_words(value))


def _ours(assignments: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    return {name: value for name, _, value in assignments if name.startswith(OUR_VARIABLES)}
