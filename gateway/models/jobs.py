"""Jobs of Airbyte's, as callers see them."""

from typing import Literal

import msgspec

TERMINAL_STATUSES = frozenset({"failed", "succeeded", "cancelled"})
"""Airbyte may add words; an unknown status counts as not yet finished. `incomplete` means a retry is due."""
KNOWN_JOB_TYPES = ("sync", "refresh", "clear", "reset")
JOB_STATUSES = ("pending", "queued", "running", "incomplete", "failed", "succeeded", "cancelled")

FailureOrigin = Literal["source", "destination", "platform", "unknown"]
FailureType = Literal[
    "configuration", "credentials", "schema", "timeout", "cancelled", "temporary", "system", "unknown"
]


class Job(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """A sync as the API shows it; `duration` is ISO 8601 text. It holds nothing the garbage collector need look at."""

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
        """Whether it has ended, one way or another."""
        return self.status in TERMINAL_STATUSES


class EndedJob(Job, frozen=True, rename="camel"):
    """A job with the time of its end; None until then."""

    end_time: str | None


class Failure(msgspec.Struct, frozen=True, rename="camel"):
    """Why an attempt failed, in closed words and one sentence. `retryable` is None where Airbyte does not say."""

    origin: FailureOrigin
    type: FailureType
    message: str
    retryable: bool | None


class Attempt(msgspec.Struct, frozen=True, rename="camel"):
    """One try of a job, the first of which has the number 1."""

    number: int
    status: str
    start_time: str | None
    end_time: str | None
    bytes_synced: int | None
    rows_synced: int | None
    failure: Failure | None


class StreamCounts(msgspec.Struct, frozen=True, rename="camel"):
    """What a job moved of one stream."""

    name: str
    namespace: str | None
    rows_synced: int | None
    bytes_synced: int | None


class JobDetail(EndedJob, frozen=True, rename="camel"):
    """A job with all that is known of it; empty lists where Airbyte does not tell."""

    attempts: list[Attempt]
    failure: Failure | None
    streams: list[StreamCounts]


class ExplainedJob(EndedJob, frozen=True, rename="camel"):
    """A job with its end and the failure of its last attempt."""

    failure: Failure | None


class PlacedJob(Job, frozen=True, rename="camel"):
    """A job with our id of its connection, which the calls about one connection take."""

    connection: str


class TriggeredJob(msgspec.Struct, frozen=True, rename="camel"):
    """A sync as the answer to its trigger shows it."""

    job_id: int
    connection_id: str
    status: str
    job_type: str
