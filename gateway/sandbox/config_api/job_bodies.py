"""Jobs, attempts and failures as the Config API shows them. Times are whole epoch seconds, failures' are milliseconds.

`jobs/list` and `jobs/get` differ, as in Airbyte: only a list has the job's sums and counts of attempts that still run,
and only `get` wraps an attempt and has logs.
"""

from math import floor
from typing import Final

from gateway.sandbox.failures import Failure
from gateway.sandbox.records import Job, JobState, JobType, StreamVolume
from gateway.sandbox.timeline import Attempt, attempts_at, first_running_at, progress_at
from gateway.sandbox.wire import without_nulls

CONFIG_TYPES: Final[dict[JobType, str]] = {
    "sync": "sync",
    "reset": "reset_connection",
    "refresh": "refresh",
    "clear": "clear",
}


def job_read(job: Job, state: JobState, now: float) -> dict[str, object]:
    """Return the job without any counts."""
    streams = [stream_descriptor(volume) for volume in job.volumes]
    started_at = first_running_at(job.steps, now)
    return without_nulls(
        {
            "id": job.job_id,
            "configType": CONFIG_TYPES[job.job_type],
            "configId": job.connection_id,
            "enabledStreams": streams,
            "createdAt": floor(job.created_at),
            "updatedAt": floor(state.updated_at),
            "startedAt": None if started_at is None else floor(started_at),
            "status": state.status,
            "resetConfig": {"streamsToReset": streams} if job.job_type == "reset" else None,
            "refreshConfig": {"streamsToRefresh": streams} if job.job_type == "refresh" else None,
        }
    )


def job_with_sums(job: Job, state: JobState, now: float) -> dict[str, object]:
    """Return the job with what it and its streams have committed so far."""
    volumes = job.volumes_at(progress_at(job.steps, now))
    sums = {
        "aggregatedStats": _committed(volumes),
        "streamAggregatedStats": [
            {**_stream_name(volume), **_committed([volume])} for volume in volumes if state.rows or state.bytes
        ],
    }
    return {**job_read(job, state, now), **sums}


def listed_job(job: Job, state: JobState, now: float) -> dict[str, object]:
    """Return a row of `jobs/list`: the job with its sums, and its attempts with what they have committed so far."""
    attempts = [
        {**_attempt_read(job, attempt), **_attempt_stats(job, attempt, has_namespace=True)}
        for attempt in attempts_at(job.steps, now)
    ]
    return {"job": job_with_sums(job, state, now), "attempts": attempts}


def job_info(job: Job, state: JobState, now: float) -> dict[str, object]:
    """Return the answer of `jobs/get`: no sums, counts of ended attempts only, logs."""
    attempts = [
        {
            "attempt": _ended_attempt(job, attempt),
            "logType": "formatted",
            "logs": {"logLines": _log_lines(job, attempt)},
        }
        for attempt in attempts_at(job.steps, now)
    ]
    return {"job": job_read(job, state, now), "attempts": attempts}


def job_info_without_logs(job: Job, state: JobState, now: float) -> dict[str, object]:
    """Return the answer of `jobs/get_without_logs`: sums as in a list, attempts as in `jobs/get`."""
    attempts = [{"attempt": _ended_attempt(job, attempt)} for attempt in attempts_at(job.steps, now)]
    return {"job": job_with_sums(job, state, now), "attempts": attempts}


def failure_read(failure: Failure, ended_at: float) -> dict[str, object]:
    """Return the JSON of a failure that ended an attempt at a moment, in epoch seconds."""
    return without_nulls(
        {
            "failureOrigin": failure.origin,
            "failureType": failure.kind,
            "externalMessage": failure.external_message,
            "internalMessage": failure.internal_message,
            "stacktrace": failure.stacktrace,
            "retryable": failure.retryable,
            "timestamp": floor(ended_at) * 1000,
        }
    )


def stream_descriptor(volume: StreamVolume) -> dict[str, object]:
    """Return the JSON that names a stream."""
    return without_nulls({"name": volume.stream.name, "namespace": volume.stream.namespace})


def _ended_attempt(job: Job, attempt: Attempt) -> dict[str, object]:
    """Return the attempt as `get` shows it: its counts are written when it has ended."""
    counts = {} if attempt.ended_at is None else _attempt_stats(job, attempt, has_namespace=False)
    return {**_attempt_read(job, attempt), **counts}


def _attempt_read(job: Job, attempt: Attempt) -> dict[str, object]:
    ended_at = attempt.ended_at
    volumes = _volumes_of(job, attempt)
    failures = job.failures_of(attempt)
    rows = sum(volume.rows for volume in volumes)
    summary = {
        "failures": [failure_read(failure, ended_at or attempt.begun_at) for failure in failures],
        "partialSuccess": rows > 0,
    }
    return without_nulls(
        {
            "id": attempt.number,
            "status": attempt.status,
            "createdAt": floor(attempt.begun_at),
            "updatedAt": floor(attempt.begun_at if ended_at is None else ended_at),
            "endedAt": None if ended_at is None else floor(ended_at),
            "bytesSynced": None if ended_at is None else sum(volume.bytes for volume in volumes),
            "recordsSynced": None if ended_at is None else rows,
            "failureSummary": summary if failures else None,
        }
    )


def _attempt_stats(job: Job, attempt: Attempt, *, has_namespace: bool) -> dict[str, object]:
    """Return the attempt's counts. `bytesCommitted` is declared and never filled in; `get` forgets namespaces."""
    volumes = _volumes_of(job, attempt)
    return {
        "totalStats": _emitted(volumes),
        "streamStats": [
            {
                **(_stream_name(volume) if has_namespace else {"streamName": volume.stream.name}),
                "stats": _emitted([volume]),
            }
            for volume in volumes
        ],
    }


def _volumes_of(job: Job, attempt: Attempt) -> list[StreamVolume]:
    before, after = job.volumes_at(attempt.progress_before), job.volumes_at(attempt.progress_after)
    return [
        StreamVolume(now.stream, now.rows - then.rows, now.bytes - then.bytes)
        for then, now in zip(before, after, strict=True)
    ]


def _stream_name(volume: StreamVolume) -> dict[str, object]:
    return without_nulls({"streamName": volume.stream.name, "streamNamespace": volume.stream.namespace})


def _emitted(volumes: list[StreamVolume]) -> dict[str, int]:
    rows = sum(volume.rows for volume in volumes)
    return {
        "recordsEmitted": rows,
        "bytesEmitted": sum(volume.bytes for volume in volumes),
        "recordsCommitted": rows,
    }


def _committed(volumes: list[StreamVolume]) -> dict[str, int]:
    return {
        **_emitted(volumes),
        "bytesCommitted": sum(volume.bytes for volume in volumes),
        "recordsRejected": 0,
    }


def _log_lines(job: Job, attempt: Attempt) -> list[str]:
    lines = [f"replication-orchestrator > attempt {attempt.number} of job {job.job_id} begins"]
    for failure in job.failures_of(attempt):
        lines += [text for text in (failure.internal_message, failure.stacktrace) if text]
    return lines
