"""Read settings: shipped defaults, under a TOML file, under the environment; validated once, frozen.

Unknown keys are refused, naming file and key.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec

from gateway.errors import SettingsError
from gateway.resources import resource_text
from gateway.settings.check_dashboard import check_dashboard
from gateway.settings.check_notify import check_notify
from gateway.settings.checks import check_backend, check_database, check_host, check_networks, check_proxy, check_url
from gateway.settings.removed import REMOVED, check_removed
from gateway.settings.secret import Secret, SecretUrl
from gateway.settings.tables import OFF, SQLITE_PREFIX, Settings, Table, tables, types_of

SETTINGS_FILE = "settings.toml"
ENVIRONMENT_PREFIX = "GATEWAY_"
KUBERNETES_NAME = re.compile(
    r"(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT_\d+_[A-Z]+(?:_[A-Z]+)?)"
)
KUBERNETES_ADDRESS = re.compile(r"[a-z]+://")
"""Kubernetes tells every container of every service: of one called `gateway-database` by GATEWAY_DATABASE_SERVICE_HOST,
GATEWAY_DATABASE_PORT=tcp://10.0.0.1:5432, GATEWAY_DATABASE_PORT_5432_TCP_ADDR and more."""
SECRETS = (Secret, SecretUrl)


class Origin(msgspec.Struct, frozen=True):
    """Where the value of a dotted key came from.

    `source` is a file's path or a variable's name; `secret_file` the path that this variable holds.
    """

    kind: Literal["default", "file", "environment", "secret_file"]
    key: str
    source: str = ""
    secret_file: str = ""

    def __str__(self) -> str:
        """Return the beginning of an error line about the value."""
        if self.kind == "default":
            return f"defaults: {self.key}"
        return f"{self.source}: {self.key}" if self.kind == "file" else f"environment: {self.source}"


Origins = dict[str, Origin]


class ReadSettings(msgspec.Struct, frozen=True):
    """Settings, and where each of them came from."""

    settings: Settings
    origins: Origins


def load_settings(
    path: Path | None, environment: Mapping[str, str], *, working_directory: Path | None = None
) -> Settings:
    """Return what `read_settings` reads, for who need not know from where. Raises SettingsError."""
    return read_settings(path, environment, working_directory=working_directory).settings


def read_settings(
    path: Path | None, environment: Mapping[str, str], *, working_directory: Path | None = None
) -> ReadSettings:
    """Read the defaults, `path` (or `settings.toml` of the working directory if there is one), then the environment.

    Raises SettingsError with one line that names where the value came from, its key and what was expected.
    """
    folder = (working_directory or _working_directory()).resolve()
    values = tomllib.loads(resource_text(SETTINGS_FILE))
    names = [f"{table}.{key}" for table in values for key in values[table]]
    origins = {name: Origin("default", name) for name in names}
    chosen = path or (folder / SETTINGS_FILE if has_settings(folder) else None)
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


def has_settings(folder: Path | None = None) -> bool:
    """Return whether the folder (default: the working directory) has a settings file. Raises SettingsError."""
    folder = folder or _working_directory()
    try:
        return (folder / SETTINGS_FILE).exists()
    except OSError as error:
        raise SettingsError(
            f"{folder}: cannot be searched for {SETTINGS_FILE}: {error.strerror}; "
            "go to another folder, or name a file with --settings"
        ) from None


def _working_directory() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise SettingsError(f"this folder: {error.strerror}; go to another one") from None


def _merge_file(values: dict[str, Any], origins: Origins, path: Path) -> None:
    for table, keys in _read(path).items():
        if table not in values:
            raise SettingsError(f"{path}: unknown table [{table}]; known are {', '.join(values)}")
        if not isinstance(keys, dict):
            raise SettingsError(f"{path}: {table}: expected a table, [{table}]")
        for key, value in keys.items():
            origin = Origin("file", f"{table}.{key}", str(path))
            if origin.key in REMOVED:
                check_removed(origin, origin.key, value)
                continue
            if key not in values[table]:
                raise SettingsError(f"{path}: unknown key {key!r} in [{table}]; known are {', '.join(values[table])}")
            values[table][key] = value
            origins[origin.key] = origin


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise SettingsError(f"{path}: no such settings file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None
    except RecursionError:
        raise SettingsError(f"{path}: not valid TOML: nested too deep") from None


def _merge_environment(values: dict[str, Any], origins: Origins, environment: Mapping[str, str]) -> None:
    """Take each variable that names a table of ours, unless it is empty, which means unset.

    Variables that merely start with GATEWAY_ are left alone: container platforms invent such names.
    """
    for variable in sorted(filter(environment.get, environment)):
        for table, structure in tables().items():
            prefix = f"{ENVIRONMENT_PREFIX}{table.upper()}_"
            if variable.startswith(prefix) and _is_of_a_service(variable.removeprefix(prefix), environment[variable]):
                continue
            removed = f"{table}.{variable.removeprefix(prefix).lower()}"
            if variable.startswith(prefix) and removed in REMOVED:
                check_removed(Origin("environment", removed, variable), removed, environment[variable])
            elif variable.startswith(prefix):
                key, value = _override(variable, prefix, structure, environment[variable])
                values[table][key] = value
                name = f"{table}.{key}"
                is_file = not variable.lower().endswith(key)
                origins[name] = (
                    Origin("secret_file", name, variable, environment[variable])
                    if is_file
                    else Origin("environment", name, variable)
                )


def _is_of_a_service(name: str, value: str) -> bool:
    is_address = name.rpartition("_")[2] == "PORT" and KUBERNETES_ADDRESS.match(value) is not None
    return is_address or KUBERNETES_NAME.fullmatch(name) is not None


def _override(variable: str, prefix: str, structure: type[Table], text: str) -> tuple[str, Any]:
    types = types_of(structure)
    key = variable.removeprefix(prefix).lower()
    base = key.removesuffix("_file")
    if key.endswith("_file") and types.get(base) in SECRETS:
        try:
            # A byte-order mark, which some editors put there, is no part of the secret.
            return base, Path(text).read_text(encoding="utf-8-sig").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            # Not the path: it may be the secret itself, given by the wrong variable.
            reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
            raise SettingsError(f"environment: {variable}: the file cannot be read: {reason}") from None
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
        for key, kind in types_of(structure).items()
        if kind in SECRETS and kind(values[table][key]).has_secret
    )
    files = {Path(origin.secret_file or origin.source) for origin in found if origin.kind in {"file", "secret_file"}}
    return tuple(sorted(files))


def _convert(values: Mapping[str, Any], origins: Origins) -> Settings:
    try:
        return msgspec.convert(values, Settings, dec_hook=_secret)
    except msgspec.ValidationError as error:
        text, _, location = str(error).partition(" - at `$.")
        table, key = re.split(r"[.\[`]", location)[:2]
        raise SettingsError(f"{origins[f'{table}.{key}']}: {_explain(text, types_of(tables()[table])[key])}") from None


def _secret(kind: type[Any], value: Any) -> Any:
    if kind in SECRETS and isinstance(value, str):
        return kind(value)
    # msgspec adds the place of the value to a TypeError's text.
    raise TypeError(f"Expected `str`, got `{type(value).__name__}`")


def _explain(text: str, kind: Any) -> str:
    if get_origin(kind) is Literal:
        # Not what was written: it may be a secret that belongs into the line below.
        return f"expected one of {', '.join(get_args(kind))}"
    return text[:1].lower() + text[1:]


def _check(settings: Settings, origins: Origins) -> None:
    """Check the rules that a single value's type cannot state. Raises SettingsError."""
    server = settings.server
    check_host(origins["server.host"], server.host)
    check_networks(origins["server.trusted_proxies"], server.trusted_proxies)
    check_networks(origins["server.metrics_networks"], server.metrics_networks)
    check_networks(origins["webhooks.allowed_networks"], settings.webhooks.allowed_networks)
    check_database(origins["database.url"], settings.database.url.reveal(), file_prefix=SQLITE_PREFIX)
    check_url(origins["airbyte.base_url"], settings.airbyte.base_url)
    if settings.airbyte.config_url not in {"", OFF}:
        check_url(origins["airbyte.config_url"], settings.airbyte.config_url, also=f', or "{OFF}"')
    if settings.airbyte.proxy:
        check_proxy(origins["airbyte.proxy"], settings.airbyte.proxy.reveal())
    if server.public_url:
        check_url(origins["server.public_url"], server.public_url)
    check_dashboard(origins, settings.dashboard)
    check_notify(origins, settings.notify)
    if settings.tracing.endpoint:
        check_url(origins["tracing.endpoint"], settings.tracing.endpoint)
    if settings.rate_limit.is_shared:
        check_backend(origins["rate_limit.backend"], settings.rate_limit.backend.reveal())
