"""Files that travel with the package, `schema.sql` and `settings.toml`, and the versions of this process's parts.

A wheel or a binary carries the files inside the package; a checkout keeps them at its top.
"""

import platform
import sqlite3
import ssl
from pathlib import Path

from gateway import __version__

PACKAGE = Path(__file__).parent

COMMIT_FILE = "commit.txt"
"""Written when a wheel or a binary is built; a checkout has none, for it may be changed at any time."""


def resource_text(name: str) -> str:
    """Return the text of a file that travels with the package. Raises FileNotFoundError."""
    packaged = PACKAGE / name
    path = packaged if packaged.exists() else PACKAGE.parent / name
    return path.read_text(encoding="utf-8")


def versions() -> dict[str, str]:
    """Return the version of each part: `{"SQLite": "3.51.3", …}`."""
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
