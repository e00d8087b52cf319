"""What the work on a database met in this process: failures, waits for the write lock, whether writes fail now."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import Literal, get_args

from gateway.errors import StorageUnavailable

Operation = Literal["read", "write"]
Reason = Literal["damaged", "full", "locked", "read-only", "timeout", "unavailable"]
"""Why it failed. `timeout`: no answer, or no write lock, within the time; `unavailable`: anything else."""


def unavailable(reason: Reason, detail: str) -> StorageUnavailable:
    """Return the failure to raise, with what the figures and the log say of it."""
    failure = StorageUnavailable(detail=detail)
    failure.reason = reason
    return failure


class StorageHealth:
    """Counted in plain numbers, since the process began."""

    def __init__(self) -> None:
        # Each is there from the start: what is counted from nothing shows no increase.
        self.failures: Counter[tuple[str, str]] = Counter(
            dict.fromkeys(product(get_args(Operation), get_args(Reason)), 0)
        )
        self.writes = 0
        """That began: those that have the write lock."""
        self.lock_seconds = 0.0
        """For how long all of them waited for it."""
        self.write_failure: str | None = None
        """Why the last write failed; None if it did not."""

    @contextmanager
    def counting(self, operation: Operation) -> Iterator[None]:
        """Count a failure of what is done meanwhile. Raises StorageUnavailable, which it is."""
        try:
            yield
        except StorageUnavailable as error:
            self.failures[operation, error.reason] += 1
            if operation == "write":
                self.write_failure = error.reason
            raise

    def note_lock(self, seconds: float) -> None:
        """Count a write that has the write lock after so many seconds."""
        self.writes += 1
        self.lock_seconds += seconds

    def note_written(self) -> None:
        """Note that writes succeed."""
        self.write_failure = None
