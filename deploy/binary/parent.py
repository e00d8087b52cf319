"""What only the binary needs: to end with the process that unpacked it, and not by a SIGHUP that comes early.

That process waits, hands signals on and removes the unpacked files. `kill -9` it cannot hand on: the gateway would run
on, with port and database in its hands, and no supervisor would know of it.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1
UNPACKED_PREFIX = "_MEI"
"""Of the name of the temporary folder that PyInstaller unpacks one file into."""


def hold_back_hang_ups(arguments: Sequence[str]) -> None:
    """Until `serve` notes them itself: most of a start is importing. Every other command ends with its terminal."""
    if "serve" in arguments:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent is gone. Does nothing but in the one-file binary."""
    if not Path(getattr(sys, "_MEIPASS", "")).name.startswith(UNPACKED_PREFIX):
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if _is_orphan():
        os.kill(os.getpid(), signal.SIGKILL)


def _is_orphan() -> bool:
    """Whether the parent ended before the kernel was asked. Somebody of another name has adopted us then."""
    try:
        own_name = Path("/proc/self/comm").read_bytes()
    except OSError:  # Without /proc nothing can be told.
        return False
    try:
        return Path(f"/proc/{os.getppid()}/comm").read_bytes() != own_name
    except OSError:
        return True
