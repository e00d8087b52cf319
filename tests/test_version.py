"""What a process tells of what it is made."""

import platform
import sqlite3
import ssl
from pathlib import Path

import pytest

from gateway import __version__, resources
from gateway.version import COMMIT_FILE, versions


def test_each_part_is_the_one_that_runs() -> None:
    told = versions()

    assert told["Gateway"] == __version__
    assert told["Python"] == platform.python_version()
    assert told["SQLite"] == sqlite3.sqlite_version
    assert f"OpenSSL {told['OpenSSL']}" == ssl.OPENSSL_VERSION


def test_the_commit_is_what_the_build_wrote_and_otherwise_unknown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "gateway"
    package.mkdir()
    monkeypatch.setattr(resources, "PACKAGE", package)
    before = versions()["Commit"]
    (package / COMMIT_FILE).write_text("0123456789ab\n", encoding="utf-8")

    assert (before, versions()["Commit"]) == ("unknown", "0123456789ab")
