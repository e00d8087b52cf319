"""The shape of the Config API's answers: only the fields we use, typed.

Internal messages, stack traces, logs and configurations are in none of these records, so they are never parsed.
"""

from typing import Annotated

import msgspec

from gateway.airbyte.schema import AirbyteRecord, Int64

Epoch = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799)]
"""Seconds since 1970, up to the end of the year 9999."""


Word = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z_]{0,39}$")]
"""A status: Airbyte adds words over time, so only the alphabet is closed."""


class FailureRecord(AirbyteRecord, frozen=True):
    """Why an attempt failed. Who may read `external_message` as it is, `OperatorFailure` says."""

    failure_origin: str | None = None
    failure_type: str | None = None
    external_message: str | None = None
    retryable: bool | None = None

    def __repr__(self) -> str:
        """Leave out the message, which may hold a secret."""
        return f"FailureRecord({self.failure_origin}, {self.failure_type})"


class FailureSummary(AirbyteRecord, frozen=True):
    """The failures of an attempt, those that tell most first: so Airbyte orders them."""

    failures: tuple[FailureRecord, ...] = ()


class AttemptCounts(AirbyteRecord, frozen=True):
    """What an attempt has read so far, also while it runs."""

    records_emitted: Int64 | None = None
    bytes_emitted: Int64 | None = None


class AttemptRecord(AirbyteRecord, frozen=True):
    """`id` counts from 0."""

    id: Annotated[int, msgspec.Meta(ge=0, le=999_999)]
    status: Word
    created_at: Epoch | None = None
    ended_at: Epoch | None = None
    bytes_synced: Int64 | None = None
    records_synced: Int64 | None = None
    total_stats: AttemptCounts = AttemptCounts()
    failure_summary: FailureSummary | None = None

    @property
    def failures(self) -> tuple[FailureRecord, ...]:
        """What went wrong, in Airbyte's order; empty where nothing is told."""
        return self.failure_summary.failures if self.failure_summary else ()


class StreamRecord(AirbyteRecord, frozen=True):
    """What a job moved of one stream: read, and written for good."""

    stream_name: str
    stream_namespace: str | None = None
    records_emitted: Int64 | None = None
    records_committed: Int64 | None = None
    bytes_emitted: Int64 | None = None
    bytes_committed: Int64 | None = None


class ConfigJobRecord(AirbyteRecord, frozen=True):
    """`config_id` is the id of the job's connection."""

    id: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    config_id: str
    stream_aggregated_stats: tuple[StreamRecord, ...] = ()


class ListedJobRecord(AirbyteRecord, frozen=True):
    """A row of `jobs/list`."""

    job: ConfigJobRecord
    attempts: tuple[AttemptRecord, ...] = ()


class JobListRecord(AirbyteRecord, frozen=True):
    """The answer of `jobs/list`. Its rows are parsed one by one, so that an odd one does not cost the others."""

    jobs: list[msgspec.Raw]


class JobReport(msgspec.Struct, frozen=True):
    """What the Config API tells of one job."""

    job_id: int
    attempts: tuple[AttemptRecord, ...]
    streams: tuple[StreamRecord, ...]
