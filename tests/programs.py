"""Find the programs that tests start, and name what is missing: `python3 -m tests.programs`.

Runs before anything is installed, so only the standard library is imported at the top.
"""

import os
import shutil
import sys
from pathlib import Path

PACKAGES = {
    "chromium": "chromium",
    "curl": "curl",
    "initdb": "postgresql",
    "ip": "iproute2",
    "nginx": "nginx-light",
    "openssl": "openssl",
    "pgbouncer": "pgbouncer",
    "pgrep": "procps",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "redis-server": "redis-server",
    "systemd-analyze": "systemd",
}
"""Debian's package for each program."""
SAME = {"redis-server": "valkey-server"}
"""Programs that do as well, and come first."""


def find_program(name: str) -> str | None:
    """Return the path of a program, or of one that does as well."""
    folders = ":".join([*_postgres_folders(), os.environ.get("PATH", ""), "/usr/sbin"])
    return shutil.which(SAME.get(name, name), path=folders) or shutil.which(name, path=folders)


def _postgres_folders() -> list[str]:
    """Return where Debian keeps PostgreSQL's programs, the newest version first."""
    found = Path("/usr/lib/postgresql").glob("*/bin")
    return [str(path) for path in sorted(found, key=lambda path: int(path.parts[4]), reverse=True)]


def required_program(name: str) -> str:
    """Return the path of a program. Without it the test is skipped, and in CI it fails."""
    import pytest  # noqa: PLC0415 - see above

    path = find_program(name)
    if path is None:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up(f"needs {name}: apt-get install {PACKAGES[name]}")
    return path


def missing_programs() -> str:
    """Return a sentence that names what is missing and the command that brings it; empty if nothing is."""
    missing = [name for name in PACKAGES if find_program(name) is None]
    packages = " ".join(dict.fromkeys(PACKAGES[name] for name in missing))
    sentence = f"Missing: {', '.join(missing)}. Their tests are skipped. To run them: apt-get install {packages}"
    return sentence if missing else ""


if __name__ == "__main__":
    sys.stdout.write(f"{missing_programs()}\n".lstrip())
