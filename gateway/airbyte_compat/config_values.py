"""Write jobs, attempts and failures as the Config API does: times in whole seconds since 1970.

Why an attempt failed is told in the words of our own API, masked as there.
"""

from collections.abc import Mapping

from gateway.airbyte_compat.values import epoch, job_status, without_nulls
from gateway.models import Attempt, Failure, JobDetail
from gateway.models.jobs import FailureOrigin, FailureType

CONFIG_JOB_TYPES = {"sync": "sync", "refresh": "refresh", "reset": "reset_connection", "clear": "clear"}
ATTEMPT_STATUSES = frozenset({"running", "failed", "succeeded"})
AIRBYTE_ORIGINS: Mapping[FailureOrigin, str | None] = {
    "source": "source",
    "destination": "destination",
    "platform": "airbyte_platform",
    "unknown": "unknown",
}
AIRBYTE_FAILURE_TYPES: Mapping[FailureType, str | None] = {
    "configuration": "config_error",
    "credentials": "config_error",
    "schema": "refresh_schema",
    "timeout": "heartbeat_timeout",
    "cancelled": "manual_cancellation",
    "temporary": "transient_error",
    "system": "system_error",
    "unknown": None,
}


def job_info(detail: JobDetail) -> dict[str, object]:
    """Return a job with its attempts, without a line of log: those tell more than a tenant may know."""
    attempts = [
        {"attempt": _attempt(each), "logType": "formatted", "logs": {"logLines": []}} for each in detail.attempts
    ]
    return {"job": job_read(detail), "attempts": attempts}


def listed_job(detail: JobDetail) -> dict[str, object]:
    """Return a row of a list, whose attempts are not wrapped."""
    return {"job": job_read(detail), "attempts": [_attempt(each) for each in detail.attempts]}


def job_read(detail: JobDetail) -> dict[str, object]:
    """Return the job itself."""
    last = detail.attempts[-1] if detail.attempts else None
    updated = detail.end_time or (last and (last.end_time or last.start_time)) or detail.start_time
    return without_nulls(
        {
            "id": detail.job_id,
            "configType": CONFIG_JOB_TYPES[detail.job_type],
            "configId": detail.connection_id,
            "createdAt": epoch(detail.start_time),
            "updatedAt": epoch(updated),
            "startedAt": epoch(detail.attempts[0].start_time) if detail.attempts else None,
            "status": job_status(detail.status),
        }
    )


def _attempt(attempt: Attempt) -> dict[str, object]:
    failure = attempt.failure
    return without_nulls(
        {
            "id": attempt.number - 1,
            "status": attempt.status if attempt.status in ATTEMPT_STATUSES else "running",
            "createdAt": epoch(attempt.start_time),
            "updatedAt": epoch(attempt.end_time or attempt.start_time),
            "endedAt": epoch(attempt.end_time),
            "bytesSynced": attempt.bytes_synced,
            "recordsSynced": attempt.rows_synced,
            "failureSummary": failure and {"failures": [failure_content(failure, attempt)], "partialSuccess": False},
        }
    )


def failure_content(failure: Failure, attempt: Attempt) -> dict[str, object]:
    """Return why an attempt failed, as our own API tells it."""
    return without_nulls(
        {
            "failureOrigin": AIRBYTE_ORIGINS[failure.origin],
            "failureType": AIRBYTE_FAILURE_TYPES[failure.type],
            "externalMessage": failure.message,
            "retryable": failure.retryable,
            "timestamp": (epoch(attempt.end_time or attempt.start_time) or 0) * 1000,
        }
    )
