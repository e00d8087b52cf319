"""Holding a database file for the gateway that serves it, and reading it through after one that was killed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.store.progress import Progress, ignore_progress
from gateway.store.sqlite.instance_lock import instance_lock
from gateway.store.sqlite.soundness import require_sound


@contextmanager
def serving_lock(database: Path, *, progress: Progress = ignore_progress) -> Iterator[None]:
    """Hold the instance lock while the gateway serves. Raises DatabaseRefused.

    Unless the last one came to its end, the whole file is checked first. A block that raises has not come to its end.
    """
    with instance_lock(database) as lock:
        if not lock.was_ended:
            progress("Checking", 0, 1)
            require_sound(database)
            progress("Checking", 1, 1)
        lock.note_serving()
        yield
        lock.note_ended()
