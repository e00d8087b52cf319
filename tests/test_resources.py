"""The files that travel with the package, and what a process tells of what it is made."""

import platform
import sqlite3
import ssl
import tomllib
from pathlib import Path

import pytest

from gateway import __version__
from gateway.resources import COMMIT_FILE, is_installed, resource_text, versions

TOP = Path(__file__).parent.parent


@pytest.mark.parametrize("name", ["schema.sql", "settings.toml"])
def test_a_checkout_uses_the_file_at_its_top(name: str) -> None:
    assert resource_text(name) == (TOP / name).read_text(encoding="utf-8")


def test_the_schema_is_sql_that_sqlite_takes() -> None:
    connection = sqlite3.connect(":memory:")
    connection.executescript(resource_text("schema.sql"))
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()

    assert {"clients", "connections", "api_keys"} <= tables


def test_the_settings_are_toml_with_the_documented_tables() -> None:
    tables = [
        "server",
        "database",
        "airbyte",
        "rate_limit",
        "log",
        "keys",
        "dashboard",
        "webhooks",
        "notify",
        "tracing",
    ]

    assert list(tomllib.loads(resource_text("settings.toml"))) == tables


def test_a_file_that_does_not_travel_is_missed_at_once() -> None:
    with pytest.raises(FileNotFoundError):
        resource_text("no-such-file")


def test_each_part_is_the_one_that_runs() -> None:
    told = versions()

    assert told["Gateway"] == __version__
    assert told["Python"] == platform.python_version()
    assert told["SQLite"] == sqlite3.sqlite_version
    assert f"OpenSSL {told['OpenSSL']}" == ssl.OPENSSL_VERSION


def test_the_commit_is_what_the_build_wrote_and_otherwise_unknown(tmp_path: Path) -> None:
    package = tmp_path / "gateway"
    package.mkdir()
    before = versions(package)["Commit"]
    (package / COMMIT_FILE).write_text("0123456789ab\n", encoding="utf-8")

    assert (before, versions(package)["Commit"]) == ("unknown", "0123456789ab")


def test_a_folder_that_was_cleaned_is_noticed(tmp_path: Path) -> None:
    package = tmp_path / "gateway"
    package.mkdir()
    assert not is_installed(package)

    (package / "schema.sql").touch()
    assert is_installed(package)
