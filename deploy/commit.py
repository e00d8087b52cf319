"""Which commit is built into a wheel or a binary."""

import subprocess
from pathlib import Path

DESCRIBE = ("git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")


def commit_of(folder: Path) -> str:
    """Of a checkout: its commit, and whether anything in it is changed; `unknown` where git does not know."""
    try:
        return subprocess.check_output(DESCRIBE, cwd=folder, text=True, stderr=subprocess.DEVNULL).strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
