"""What this process is made of: the gateway's version and commit, Python, SQLite and OpenSSL."""

import platform
import sqlite3
import ssl

from gateway import __version__
from gateway.resources import resource_text

COMMIT_FILE = "commit.txt"
"""Written when a wheel or a binary is built; a checkout has none, for it may be changed at any time."""


def versions() -> dict[str, str]:
    """By name."""
    return {
        "Gateway": __version__,
        "Commit": _commit(),
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "OpenSSL": ssl.OPENSSL_VERSION.removeprefix("OpenSSL "),
    }


def _commit() -> str:
    try:
        return resource_text(COMMIT_FILE).strip()
    except FileNotFoundError:
        return "unknown"
