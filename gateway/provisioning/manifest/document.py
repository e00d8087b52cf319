"""Write a manifest as TOML in a stable order, and read one by the rules that hold for commands too."""

import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import tomli_w

from gateway import validation
from gateway.auth.keys import ALPHABET, ID_LENGTH
from gateway.errors import InvalidInput
from gateway.models import EVENT_TYPES
from gateway.provisioning.manifest.schema import (
    ClientEntry,
    ConnectionEntry,
    Entry,
    KeyEntry,
    Manifest,
    UserEntry,
    WebhookEntry,
)
from gateway.times import normalise_time

FORMAT = 1
FORMAT_LINE = "# Written by gateway export, read by gateway apply. There is no secret in it."
TABLES = {
    "clients": ClientEntry,
    "connections": ConnectionEntry,
    "users": UserEntry,
    "keys": KeyEntry,
    "webhooks": WebhookEntry,
}
BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")

AnyEntry = TypeVar("AnyEntry", bound=Entry)


def format_manifest(manifest: Manifest) -> str:
    """Return the TOML text. Empty tables are left out."""
    tables = {name: entries for name, entries in msgspec.to_builtins(manifest).items() if entries}
    return f"{FORMAT_LINE}\n{tomli_w.dumps({'format': FORMAT, **tables})}"


def parse_manifest(path: Path) -> Manifest:
    """Read the manifest in a file, as `parse_manifest_bytes` does. Raises InvalidInput."""
    try:
        return parse_manifest_bytes(path.read_bytes(), str(path))
    except FileNotFoundError:
        raise InvalidInput(f"{path}: no such file") from None
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror}") from None


def parse_manifest_bytes(content: bytes, name: str) -> Manifest:
    """Read a manifest. Raises InvalidInput with one line that has `name`, the table, the key and what is wrong."""
    try:
        values = tomllib.loads(content.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{name}: not valid TOML: {error}") from None
    except RecursionError:
        raise InvalidInput(f"{name}: not valid TOML: nested too deep") from None
    try:
        return _manifest(values)
    except InvalidInput as error:
        raise InvalidInput(f"{name}: {error}") from None


def _manifest(values: dict[str, Any]) -> Manifest:
    if values.pop("format", None) != FORMAT:
        raise InvalidInput(f"format: expected {FORMAT}; what gateway export writes is a manifest")
    for table in values:
        if table not in TABLES:
            raise InvalidInput(f"unknown table [{table}]; known are {', '.join(TABLES)}")
    manifest = Manifest(
        clients=_entries(values, "clients", ClientEntry, _client),
        connections=_entries(values, "connections", ConnectionEntry, _connection),
        users=_entries(values, "users", UserEntry, _user),
        keys=_entries(values, "keys", KeyEntry, _key),
        webhooks=_entries(values, "webhooks", WebhookEntry, _webhook),
    )
    _check_clients_exist(manifest)
    _check_unique("connections", "airbyte_id", ((name, row.airbyte_id) for name, row in manifest.connections.items()))
    _check_unique("users", "address", ((name, folded(name)) for name in manifest.users))
    return manifest


def _entries(
    values: dict[str, Any], table: str, kind: type[AnyEntry], check: Callable[[str, AnyEntry], AnyEntry]
) -> dict[str, AnyEntry]:
    rows = values.get(table, {})
    if not isinstance(rows, dict):
        raise InvalidInput(f"{table}: expected a table, [{table}.NAME]")
    entries = {}
    for name, row in rows.items():
        try:
            entries[name] = check(name, msgspec.convert(row, kind))
        except msgspec.ValidationError as error:
            text, _, location = str(error).partition(" - at `$.")
            key = f".{location.rstrip('`')}" if location else ""
            raise InvalidInput(f"{toml_path(table, name)}{key}: {text[:1].lower()}{text[1:]}") from None
        except InvalidInput as error:
            raise InvalidInput(f"{toml_path(table, name)}: {error}") from None
    return entries


def toml_path(table: str, name: str) -> str:
    """Return where an entry stands in the file, as TOML writes it: `users."ann@example.com"`."""
    return f"{table}.{name}" if BARE_KEY.fullmatch(name) else f'{table}."{name}"'


def _client(slug: str, entry: ClientEntry) -> ClientEntry:
    validation.slug("the slug", slug)
    validation.text("name", entry.name)
    validation.text("plan", entry.plan)
    if entry.most_keys is not None:
        validation.most_keys(str(entry.most_keys))
    return msgspec.structs.replace(entry, rate=_rate(entry.rate), rate_total=_rate(entry.rate_total))


def _connection(connection_id: str, entry: ConnectionEntry) -> ConnectionEntry:
    _check_id("conn", connection_id)
    validation.slug("connector_type", entry.connector_type)
    validation.text("label", entry.label)
    if entry.workspace_id is not None and entry.airbyte_id is None:
        raise InvalidInput("workspace_id needs an airbyte_id")
    return msgspec.structs.replace(
        entry,
        airbyte_id=None if entry.airbyte_id is None else validation.uuid("airbyte_id", entry.airbyte_id),
        workspace_id=None if entry.workspace_id is None else validation.uuid("workspace_id", entry.workspace_id),
    )


def _user(email: str, entry: UserEntry) -> UserEntry:
    validation.email("the address", email)
    if entry.admin == (entry.client is not None):
        raise InvalidInput("expected either a client or admin = true")
    return entry


def _key(key_id: str, entry: KeyEntry) -> KeyEntry:
    _check_id("key", key_id)
    validation.text("name", entry.name)
    try:
        expires_at = None if entry.expires_at is None else normalise_time(entry.expires_at)
    except ValueError:
        raise InvalidInput("expires_at must be a time such as 2030-01-31T12:00:00.000Z") from None
    return msgspec.structs.replace(entry, rate=_rate(entry.rate), expires_at=expires_at)


def _webhook(webhook_id: str, entry: WebhookEntry) -> WebhookEntry:
    _check_id("whk", webhook_id)
    validation.web_address("url", entry.url)
    for connection_id in entry.connections:
        _check_id("conn", connection_id)
    return msgspec.structs.replace(
        entry,
        events=tuple(each for each in EVENT_TYPES if each in entry.events),
        connections=tuple(dict.fromkeys(entry.connections)),
    )


def _rate(text: str | None) -> str | None:
    if text is not None:
        validation.rate(text)
    return text


def _check_id(prefix: str, text: str) -> None:
    if re.fullmatch(rf"{prefix}_[{ALPHABET}]{{{ID_LENGTH}}}", text) is None:
        raise InvalidInput(f"an id is {prefix}_ and {ID_LENGTH} letters or digits")


def _check_clients_exist(manifest: Manifest) -> None:
    owned = [
        *(("connections", name, entry.client) for name, entry in manifest.connections.items()),
        *(("users", name, entry.client) for name, entry in manifest.users.items()),
        *(("keys", name, entry.client) for name, entry in manifest.keys.items()),
        *(("webhooks", name, entry.client) for name, entry in manifest.webhooks.items()),
    ]
    for table, name, slug in owned:
        if slug is not None and slug not in manifest.clients:
            raise InvalidInput(f"{toml_path(table, name)}.client: there is no [clients.{slug}] in this file")


def _check_unique(table: str, key: str, pairs: Iterable[tuple[str, str | None]]) -> None:
    seen: dict[str, str] = {}
    for name, value in pairs:
        if value is not None and value in seen:
            raise InvalidInput(f"{toml_path(table, name)}: has the {key} of {toml_path(table, seen[value])}")
        if value is not None:
            seen[value] = name


def folded(email: str) -> str:
    """Return the address with its ASCII letters in lower case, as the database compares addresses."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in email)
