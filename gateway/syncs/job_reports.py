"""Put what the Config API tells of jobs beside what the public API does.

A message takes milliseconds to mask, and jobs may have many: call what masks in a thread.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import msgspec

from gateway.airbyte import AttemptRecord, JobReport, StreamRecord
from gateway.models import Attempt, EndedJob, ExplainedJob, Failure, Job, JobDetail, StreamCounts
from gateway.syncs.failures import FailureMessages, failure_from
from gateway.times import format_time


def detail_of(job: EndedJob, report: JobReport | None, messages: FailureMessages) -> JobDetail:
    """Return the job with all that is told of it; with empty lists and no failure where nothing is."""
    attempts = report.attempts if report else ()
    return JobDetail(
        **msgspec.structs.asdict(job),
        attempts=[_attempt(each, messages) for each in sorted(attempts, key=lambda each: each.id)],
        failure=_failure_of(job, report, messages),
        streams=[_stream(each) for each in report.streams] if report else [],
    )


def with_end(job: Job) -> EndedJob:
    """Return the job with its end, if that is told."""
    return job if isinstance(job, EndedJob) else EndedJob(**msgspec.structs.asdict(job), end_time=None)


def row_of(job: EndedJob) -> Job:
    """Return the job with the eight keys of a list."""
    return Job(**{name: getattr(job, name) for name in Job.__struct_fields__})


def explained(
    jobs: Iterable[EndedJob], reports: Mapping[int, JobReport], messages: FailureMessages
) -> list[ExplainedJob]:
    """Return the jobs, each with its failure if one is told."""
    return [
        ExplainedJob(**msgspec.structs.asdict(job), failure=_failure_of(job, reports.get(job.job_id), messages))
        for job in jobs
    ]


def last_attempt(report: JobReport | None) -> AttemptRecord | None:
    """Return the last attempt that is told of."""
    return max(report.attempts, key=lambda each: each.id, default=None) if report else None


def _failure_of(job: EndedJob, report: JobReport | None, messages: FailureMessages) -> Failure | None:
    """Return the failure of the job's last attempt; None for a job that succeeded in the end."""
    last = last_attempt(report)
    return None if last is None or job.status == "succeeded" else failure_from(last.failures, messages)


def _attempt(record: AttemptRecord, messages: FailureMessages) -> Attempt:
    counts = record.total_stats
    return Attempt(
        number=record.id + 1,
        status=record.status,
        start_time=_time(record.created_at),
        end_time=_time(record.ended_at),
        bytes_synced=counts.bytes_emitted if record.bytes_synced is None else record.bytes_synced,
        rows_synced=counts.records_emitted if record.records_synced is None else record.records_synced,
        failure=failure_from(record.failures, messages),
    )


def _stream(record: StreamRecord) -> StreamCounts:
    """Return what was written for good, as the job's own counts are; what was read where Airbyte counts only that."""
    return StreamCounts(
        name=record.stream_name,
        namespace=record.stream_namespace,
        rows_synced=record.records_emitted if record.records_committed is None else record.records_committed,
        bytes_synced=record.bytes_emitted if record.bytes_committed is None else record.bytes_committed,
    )


def _time(epoch: int | None) -> str | None:
    return None if epoch is None else format_time(datetime.fromtimestamp(epoch, UTC))
