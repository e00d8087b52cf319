"""Files that travel with the package, `schema.sql` and `settings.toml`, and the versions of this process's parts.

A wheel or a binary carries the files inside the package; a checkout keeps them at its top.
"""

import platform
import sqlite3
import ssl
from pathlib import Path

from gateway import __version__

PACKAGE = Path(__file__).parent

KNOWN_FILE = "schema.sql"
"""Read at no time but by `gateway init`, so what removes old files (systemd-tmpfiles) takes this one first."""
COMMIT_FILE = "commit.txt"
"""Written when a wheel or a binary is built; a checkout has none, for it may be changed at any time."""


def resource_text(name: str, package: Path = PACKAGE) -> str:
    """Return the text of a file that travels with the package. Raises FileNotFoundError."""
    packaged = package / name
    path = packaged if packaged.exists() else package.parent / name
    return path.read_text(encoding="utf-8")


def is_installed(package: Path = PACKAGE) -> bool:
    """Return whether the program's own files are there still.

    The one-file binary unpacks them into a temporary folder, which some machines clean.
    """
    return any((folder / KNOWN_FILE).exists() for folder in (package, package.parent))


def versions(package: Path = PACKAGE) -> dict[str, str]:
    """Return the version of each part: `{"SQLite": "3.51.3", …}`."""
    return {
        "Gateway": __version__,
        "Commit": _commit(package),
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "OpenSSL": ssl.OPENSSL_VERSION.removeprefix("OpenSSL "),
    }


def _commit(package: Path) -> str:
    try:
        return resource_text(COMMIT_FILE, package).strip()
    except FileNotFoundError:
        return "unknown"
