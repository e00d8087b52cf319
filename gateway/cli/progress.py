"""Show how far long work is: bars on standard error, where it is a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from gateway.store.progress import Progress, ignore_progress

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar


class _Bars:
    """One bar after the other, each for what is being done."""

    def __init__(self) -> None:
        self._what = ""
        self._bar: ProgressBar[Any] | None = None

    def show(self, what: str, done: int, total: int) -> None:
        """Move the bar of `what` to `done` of `total`; without a total it only counts."""
        if self._bar is None or what != self._what:
            self.close()
            self._what = what
            self._bar = (
                click.progressbar(length=total, label=what, file=sys.stderr)
                if total
                else click.progressbar(iter(()), label=what, file=sys.stderr, show_pos=True)
            )
            self._bar.render_progress()
        self._bar.update(done - self._bar.pos)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.render_finish()
            self._bar = None


@contextmanager
def progress_shown() -> Iterator[Progress]:
    """Give what shows progress; it does nothing where nobody looks."""
    if not sys.stderr.isatty():
        yield ignore_progress
        return
    bars = _Bars()
    try:
        yield bars.show
    finally:
        bars.close()
