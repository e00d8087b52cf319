"""Settings: shipped defaults, under a TOML file, under the environment; validated once, frozen.

Each value's type and range stand in the structures below; unknown keys are refused, naming file and key.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec

from gateway.errors import SettingsError
from gateway.resources import resource_text
from gateway.secret import Secret, SecretUrl
from gateway.settings_checks import check_backend, check_database, check_networks, check_url

SETTINGS_FILE = "settings.toml"
ENVIRONMENT_PREFIX = "GATEWAY_"
SQLITE_PREFIX = "sqlite:///"
MEMORY = "memory"
SECRETS = (Secret, SecretUrl)

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Positive = Annotated[int, msgspec.Meta(ge=1)]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One table of the file."""


class ServerSettings(Table, frozen=True):
    host: str
    port: Port
    trusted_proxies: tuple[str, ...]
    public_url: str
    metrics_networks: tuple[str, ...]
    workers: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1

    @property
    def address(self) -> str:
        """Where people and callers find the gateway, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url.rstrip("/") or f"http://{host}:{self.port}"


class DatabaseSettings(Table, frozen=True):
    url: SecretUrl

    @property
    def is_file(self) -> bool:
        return self.url.reveal().startswith(SQLITE_PREFIX)


class AirbyteSettings(Table, frozen=True):
    base_url: str
    auth: Literal["client_credentials", "basic", "none"]
    client_id: str
    client_secret: Secret
    username: str
    password: Secret
    max_in_flight: Annotated[int, msgspec.Meta(ge=2, le=64)]
    freshness_seconds: Annotated[float, msgspec.Meta(ge=0, le=86400)]

    @property
    def credential(self) -> tuple[str, Secret]:
        """Of the kind that `auth` asks for."""
        if self.auth == "client_credentials":
            return self.client_id, self.client_secret
        return self.username, self.password


class RateLimitSettings(Table, frozen=True):
    requests: Positive
    per_seconds: Positive
    backend: SecretUrl

    @property
    def is_shared(self) -> bool:
        """Whether all gateways count together."""
        return self.backend.reveal() != MEMORY


class LogSettings(Table, frozen=True):
    level: Literal["debug", "info", "warning", "error"]
    format: Literal["json", "console"]


class Settings(Table, frozen=True):
    """All settings. `folder` is where relative paths start; `secret_files` are those that a secret was read from."""

    server: ServerSettings
    database: DatabaseSettings
    airbyte: AirbyteSettings
    rate_limit: RateLimitSettings
    log: LogSettings
    folder: Path = Path()
    secret_files: tuple[Path, ...] = ()

    @property
    def database_path(self) -> Path:
        """Of the SQLite file. Raises SettingsError when it is another kind of database."""
        if not self.database.is_file:
            raise SettingsError(f"database.url: this needs an SQLite file, and it is {self.database.url}")
        return self.folder / self.database.url.reveal().removeprefix(SQLITE_PREFIX)

    @property
    def database_place(self) -> Path | SecretUrl:
        """The file, or the address of a server's database."""
        return self.database_path if self.database.is_file else self.database.url


class Origin(msgspec.Struct, frozen=True):
    """Where the value of a dotted key came from.

    `place` is a file's path or a variable's name; `secret_file` the path that this variable holds.
    """

    kind: Literal["default", "file", "environment", "secret_file"]
    key: str
    place: str = ""
    secret_file: str = ""

    def __str__(self) -> str:
        """The beginning of an error line about the value."""
        if self.kind == "default":
            return f"defaults: {self.key}"
        return f"{self.place}: {self.key}" if self.kind == "file" else f"environment: {self.place}"


Origins = dict[str, Origin]


class ReadSettings(msgspec.Struct, frozen=True):
    """Settings, and where each of them came from."""

    settings: Settings
    origins: Origins


def load_settings(
    path: Path | None, environment: Mapping[str, str], *, working_directory: Path | None = None
) -> Settings:
    """`read_settings`, for who need not know whence."""
    return read_settings(path, environment, working_directory=working_directory).settings


def read_settings(
    path: Path | None, environment: Mapping[str, str], *, working_directory: Path | None = None
) -> ReadSettings:
    """Defaults, then `path` (or `settings.toml` of the working directory if there is one), then the environment.

    Raises SettingsError with one line that names where the value came from, its key and what was expected.
    """
    folder = (working_directory or Path.cwd()).resolve()
    values = tomllib.loads(resource_text(SETTINGS_FILE))
    names = [f"{table}.{key}" for table in values for key in values[table]]
    origins = {name: Origin("default", name) for name in names}
    local = folder / SETTINGS_FILE
    chosen = path or (local if local.exists() else None)
    if chosen is not None:
        chosen = (folder / chosen).resolve()
        folder = chosen.parent
        _merge_file(values, origins, chosen)
    _merge_environment(values, origins, environment)
    settings = msgspec.structs.replace(
        _convert(values, origins), folder=folder, secret_files=_secret_files(values, origins)
    )
    _check(settings, origins)
    return ReadSettings(settings, origins)


def _merge_file(values: dict[str, Any], origins: Origins, path: Path) -> None:
    for table, keys in _read(path).items():
        if table not in values:
            raise SettingsError(f"{path}: unknown table [{table}]; known are {', '.join(values)}")
        if not isinstance(keys, dict):
            raise SettingsError(f"{path}: {table}: expected a table, [{table}]")
        for key, value in keys.items():
            if key not in values[table]:
                raise SettingsError(f"{path}: unknown key {key!r} in [{table}]; known are {', '.join(values[table])}")
            values[table][key] = value
            name = f"{table}.{key}"
            origins[name] = Origin("file", name, str(path))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path}: no such settings file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None


def _merge_environment(values: dict[str, Any], origins: Origins, environment: Mapping[str, str]) -> None:
    """Take each variable that names a table of ours.

    Variables that merely start with GATEWAY_ are left alone: container platforms invent such names.
    """
    for variable in sorted(environment):
        for table, structure in tables().items():
            prefix = f"{ENVIRONMENT_PREFIX}{table.upper()}_"
            if variable.startswith(prefix):
                key, value = _override(variable, prefix, structure, environment[variable])
                values[table][key] = value
                name = f"{table}.{key}"
                is_file = not variable.lower().endswith(key)
                origins[name] = (
                    Origin("secret_file", name, variable, environment[variable])
                    if is_file
                    else Origin("environment", name, variable)
                )


def _override(variable: str, prefix: str, structure: type[Table], text: str) -> tuple[str, Any]:
    types = _types(structure)
    key = variable.removeprefix(prefix).lower()
    base = key.removesuffix("_file")
    if key.endswith("_file") and types.get(base) in SECRETS:
        try:
            return base, Path(text).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"environment: {variable}: cannot be read: {error}") from None
    if key not in types:
        raise SettingsError(f"environment: {variable}: unknown key; known are {', '.join(types)}")
    if types[key] == tuple[str, ...]:
        return key, [part.strip() for part in text.split(",") if part.strip()]
    if types[key] in (str, *SECRETS):
        return key, text
    try:
        return key, msgspec.convert(text, types[key], strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"environment: {variable}: {_explain(str(error), types[key])}") from None


def _secret_files(values: Mapping[str, Any], origins: Origins) -> tuple[Path, ...]:
    found = (
        origins[f"{table}.{key}"]
        for table, structure in tables().items()
        for key, kind in _types(structure).items()
        if kind in SECRETS and kind(values[table][key]).has_secret
    )
    files = {Path(origin.secret_file or origin.place) for origin in found if origin.kind in {"file", "secret_file"}}
    return tuple(sorted(files))


def tables() -> dict[str, type[Table]]:
    return {name: kind for name, kind in _types(Settings).items() if name not in {"folder", "secret_files"}}


def _types(structure: type[Table]) -> dict[str, Any]:
    return {field.name: field.type for field in msgspec.structs.fields(structure)}


def _convert(values: Mapping[str, Any], origins: Origins) -> Settings:
    try:
        return msgspec.convert(values, Settings, dec_hook=_secret)
    except msgspec.ValidationError as error:
        text, _, location = str(error).partition(" - at `$.")
        table, key = re.split(r"[.\[`]", location)[:2]
        raise SettingsError(f"{origins[f'{table}.{key}']}: {_explain(text, _types(tables()[table])[key])}") from None


def _secret(kind: type[Any], value: Any) -> Any:
    if kind in SECRETS and isinstance(value, str):
        return kind(value)
    # msgspec adds the place of the value to a TypeError's text.
    raise TypeError(f"Expected `str`, got `{type(value).__name__}`")


def _explain(text: str, kind: Any) -> str:
    expected = f"; expected one of {', '.join(get_args(kind))}" if get_origin(kind) is Literal else ""
    return text[:1].lower() + text[1:] + expected


def _check(settings: Settings, origins: Origins) -> None:
    """Rules that a single value's type cannot state."""
    server = settings.server
    check_networks(origins["server.trusted_proxies"], server.trusted_proxies)
    check_networks(origins["server.metrics_networks"], server.metrics_networks)
    check_database(origins["database.url"], settings.database.url.reveal(), file_prefix=SQLITE_PREFIX)
    check_url(origins["airbyte.base_url"], settings.airbyte.base_url)
    if server.public_url:
        check_url(origins["server.public_url"], server.public_url)
    is_shared = settings.rate_limit.is_shared
    if is_shared:
        check_backend(origins["rate_limit.backend"], settings.rate_limit.backend.reveal())
    if server.workers > 1 and (settings.database.is_file or not is_shared):
        raise SettingsError(
            f"{origins['server.workers']}: {server.workers} processes need a database and a limit that they share: "
            "set database.url to postgresql://… and rate_limit.backend to redis://…"
        )
