"""Write values as Airbyte's clients can read them: closed words, times with seconds, and no nulls."""

from collections.abc import Callable, Mapping

import msgspec

from gateway.models import ACTIVE, DEPRECATED, CatalogStream, ConnectionDetail, Job
from gateway.models.jobs import EndedJob
from gateway.times import parse_time
from gateway.web.responses import encode

STATUSES = {
    "queued": "pending",
    **{word: word for word in ("pending", "running", "incomplete", "failed", "succeeded", "cancelled")},
}
"""What is shown of a job's status. Airflow, Dagster and PyAirbyte fail at any other word, `queued` included."""
NOT_FINISHED = "running"
"""Shown of a word that is new to us."""
CONNECTION_STATUSES = {ACTIVE: ACTIVE, DEPRECATED: DEPRECATED}
INACTIVE = "inactive"
"""Shown of any other, such as `locked`, which no published client knows."""


def job_status(status: str) -> str:
    """Return the word that Airbyte's clients know: for one that they would not, that the job goes on."""
    return STATUSES.get(status, NOT_FINISHED)


def connection_status(status: str) -> str:
    """Return the word that Airbyte's clients know: for one that they would not, `inactive`."""
    return CONNECTION_STATUSES.get(status, INACTIVE)


def in_seconds(time: str | None) -> str | None:
    """Return a time of ours without its milliseconds: Airbyte writes none."""
    return None if time is None else f"{time[:19]}Z"


def epoch(time: str | None) -> int | None:
    """Return a time of ours in whole seconds since 1970."""
    return None if time is None else int(parse_time(time).timestamp())


def without_nulls(content: Mapping[str, object]) -> dict[str, object]:
    """Leave out what is null: a client of Airbyte's takes a key that is there for a value."""
    return {name: value for name, value in content.items() if value is not None}


def job_content(job: Job) -> dict[str, object]:
    """Return a job as Airbyte's public API has it."""
    return without_nulls(
        {
            "jobId": job.job_id,
            "status": job_status(job.status),
            "jobType": job.job_type,
            "startTime": in_seconds(job.start_time),
            "connectionId": job.connection_id,
            "lastUpdatedAt": in_seconds(job.end_time) if isinstance(job, EndedJob) else None,
            "duration": job.duration,
            "bytesSynced": job.bytes_synced,
            "rowsSynced": job.rows_synced,
        }
    )


def streams_content(detail: ConnectionDetail, name: str, content: Callable[[CatalogStream], object]) -> msgspec.Raw:
    """Return the `content` of each stream, made once and kept by `name`.

    Made for each list anew, the streams of a warehouse would hold up the event loop, and so other clients' calls.
    """
    text = detail.kept.get(name)
    if text is None:
        text = detail.kept[name] = encode([content(stream) for stream in detail.streams])
    return msgspec.Raw(text)
