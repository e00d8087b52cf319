"""What an installation is to be: what the settings file says, and where there is none, the defaults."""

import ipaddress
from collections.abc import Mapping
from pathlib import Path

import msgspec

from gateway.deployment.preparation import NEW_DATABASE
from gateway.deployment.systemd import STATE_FOLDER, Credential, Installation
from gateway.errors import OperatorError
from gateway.models import SocketAddress
from gateway.settings import ReadSettings, ServerSettings, Settings, load_settings, read_settings
from gateway.settings.addresses import LARGEST_PORT, listened_host

DEFAULT_PORT = 8080
SHARED_NEEDED = (
    "several gateways need a database and a limit that they share: "
    "set database.url to postgresql://… and rate_limit.backend to redis://…"
)
LEAST_PORT = 1024
"""Below it an instance may not listen: it has no capabilities, and no socket of systemd's."""


class PlannedInstallation(msgspec.Struct, frozen=True):
    """An installation, and the path of its database if that is a file.

    `has_settings`: their file is there already. `has_identity`: they say as whom Airbyte is asked.
    """

    installation: Installation
    database: str | None
    has_settings: bool
    has_identity: bool


def planned_installation(
    settings: Path,
    environment: Mapping[str, str],
    *,
    root: Path,
    program: tuple[str, ...],
    user: str,
    instances: int | None,
) -> PlannedInstallation:
    """Return what the settings lead to, read below the folder `root`. Raises OperatorError for what cannot be.

    `environment` has the variables that the service gets besides those that are written into its unit.
    """
    on_disk = below(root, str(settings))
    if not on_disk.exists():
        _require_shared(load_settings(None, {}, working_directory=root), instances)
        new = Installation(program=program, settings=str(settings), user=user, ports=_ports(DEFAULT_PORT, instances))
        return PlannedInstallation(new, NEW_DATABASE, has_settings=False, has_identity=False)
    read = read_settings(on_disk, environment)
    server = read.settings.server
    _require_shared(read.settings, instances)
    database = _seen_from(root, read.settings.database_path) if read.settings.database.is_file else None
    installation = Installation(
        program=program,
        settings=str(settings),
        user=user,
        listen=_listen(server),
        database_folder=str(database.parent) if database else STATE_FOLDER,
        credential=_credential(read),
        ports=_ports(server.port, instances),
    )
    path = str(database) if database else None
    return PlannedInstallation(installation, path, has_settings=True, has_identity=_has_identity(read.settings))


def below(root: Path, path: str) -> Path:
    """Return where an absolute path is while the folder `root` stands for `/`."""
    return root / path.lstrip("/")


def _seen_from(root: Path, path: Path) -> Path:
    return Path("/") / path.relative_to(root) if path.is_relative_to(root) else path


def _require_shared(settings: Settings, instances: int | None) -> None:
    """Raise OperatorError where several gateways would not count, or not store, together."""
    if instances is not None and instances > 1 and (settings.database.is_file or not settings.rate_limit.is_shared):
        raise OperatorError(SHARED_NEEDED)


def _ports(first: int, instances: int | None) -> tuple[int, ...]:
    """Return the port of each instance. Raises OperatorError where one may not listen."""
    ports = tuple(range(first, first + (instances or 0)))
    if ports and (first < LEAST_PORT or ports[-1] > LARGEST_PORT):
        raise OperatorError(f"server.port: the instances' ports must be from {LEAST_PORT} to {LARGEST_PORT}")
    return ports


def _listen(server: ServerSettings) -> str:
    """Return the address that a socket unit listens at. Raises OperatorError for a name: systemd looks none up."""
    host = listened_host(server.host)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise OperatorError(f"server.host: a socket unit needs an address, not {host!r}") from None
    return str(SocketAddress(str(address), server.port))


def _has_identity(settings: Settings) -> bool:
    airbyte = settings.airbyte
    return {"client_credentials": bool(airbyte.client_id), "basic": bool(airbyte.username), "none": True}[airbyte.auth]


def _credential(read: ReadSettings) -> Credential:
    """Return which secret the settings file needs and does not hold itself."""
    keys: dict[str, Credential] = {"client_credentials": "client_secret", "basic": "password", "none": ""}
    key = keys[read.settings.airbyte.auth]
    is_in_file = bool(key) and read.origins[f"airbyte.{key}"].kind == "file"
    return "" if is_in_file and getattr(read.settings.airbyte, key) else key
