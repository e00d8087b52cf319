"""The signals that do not end the server; those that do are in `server.py`. SIGHUP: read the settings again."""

import signal
from types import FrameType


class HangUps:
    """Counts a SIGHUP as one wish to reload, however many come before it is granted."""

    def __init__(self) -> None:
        self._is_pending = False

    def note(self, _number: int, _frame: FrameType | None) -> None:
        """Note a signal; its handler may do no more."""
        self._is_pending = True

    def take(self) -> bool:
        """Return whether there was one since the last time."""
        was_pending, self._is_pending = self._is_pending, False
        return was_pending


def ignore_user_signals() -> None:
    """Ignore SIGUSR1 and SIGUSR2 from now on: a script that tells many programs to rotate their logs ends none."""
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)


def note_hang_ups() -> HangUps:
    """Have SIGHUP noted from now on; it ends the process no more.

    No handler of the event loop's: before it runs, this one works.
    """
    hang_ups = HangUps()
    signal.signal(signal.SIGHUP, hang_ups.note)
    # The binary holds back those that come while it starts; they are noted now.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    return hang_ups
