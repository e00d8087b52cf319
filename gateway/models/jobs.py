"""Jobs of Airbyte's, as callers see them."""

import msgspec

TERMINAL_STATUSES = frozenset({"failed", "succeeded", "cancelled"})
"""Airbyte may add words; an unknown status counts as not yet finished. `incomplete` means a retry is due."""
JOB_STATUSES = ("pending", "queued", "running", "incomplete", "failed", "succeeded", "cancelled")


class Job(msgspec.Struct, frozen=True, rename="camel"):
    """A sync as the API shows it; `duration` is ISO 8601 text."""

    job_id: int
    connection_id: str
    status: str
    job_type: str
    start_time: str | None
    bytes_synced: int | None
    rows_synced: int | None
    duration: str | None

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL_STATUSES


class TriggeredJob(msgspec.Struct, frozen=True, rename="camel"):
    """A sync as the answer to its trigger shows it."""

    job_id: int
    connection_id: str
    status: str
    job_type: str
