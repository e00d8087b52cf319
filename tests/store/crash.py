"""A program that is killed at the n-th of its system calls that change the file system."""

import signal
import subprocess
import sys

PROGRAM = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from gateway.store.backup import back_up
from gateway.store.migration import migrate, read_steps
from gateway.store.sqlite.instance_lock import instance_lock
from gateway.store.sqlite.restoration import restoration

NOW = datetime(2026, 4, 1, 3, 0, tzinfo=UTC)
fatal, calls = int(sys.argv[1]), 0

def deadly(call):
    def counted(*arguments, **options):
        global calls
        calls += 1
        if calls == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)
    return counted

for name in ("fchmod", "fsync", "link", "rename", "sendfile", "unlink"):
    setattr(os, name, deadly(getattr(os, name)))
"""
MOST_CALLS = 50


def is_killed(at: int, work: str, *arguments: str) -> bool:
    """Run `work`, which finds its arguments in `sys.argv[2:]`; False when it ended before its call number `at`."""
    assert at < MOST_CALLS
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM + work, str(at), *arguments], capture_output=True, text=True, check=False
    )
    assert result.returncode in {0, -signal.SIGKILL}, result.stderr
    return result.returncode != 0
