"""Turn Airbyte's records into ours: times normalised, words and ids checked."""

import re
from functools import lru_cache

import structlog
from msgspec.structs import force_setattr

from gateway.airbyte.schema import ConnectionRecord, EndedJobRecord, JobRecord, WorkspaceRecord
from gateway.errors import UpstreamInvalid
from gateway.models import EndedJob, Job, TriggeredJob
from gateway.times import normalise_time
from gateway.validation import is_uuid

WORD = re.compile(r"[a-z][a-z_]{0,39}")
"""A status or a job type. Airbyte adds words over time, so the set is open and only its alphabet is closed."""
KEPT_WORDS = 64
KEPT_TEXTS = 4096
"""Times and durations. Whoever polls reads the same jobs again and again."""
ISO_DURATION = re.compile(r"PT(?=[0-9])(?:[0-9]{1,9}+H)?(?:[0-9]{1,9}+M)?(?:[0-9]{1,9}+(?:\.[0-9]{1,9}+)?S)?")
"""What Java's Duration prints of a time that has passed: no days, and nothing negative. Nothing is tried twice: that
takes half the time."""
ODD_DURATION = re.compile(r"-?PT[-0-9HMS.]{1,30}")
"""What it prints of any other, such as PT-5M of a job that ended before it began. Harmless in a log."""

log = structlog.get_logger()


def job_from(record: JobRecord) -> Job:
    """Return the record as a job of ours: its time in our format, a negative duration left out.

    It is changed in place, which costs half of another record for each job: nobody has seen it yet. Raises
    UpstreamInvalid for an odd field.
    """
    try:
        word(record.status)
        word(record.job_type)
        if record.start_time is not None:
            force_setattr(record, "start_time", _time(record.start_time))
        if record.duration is not None and not _has_passed(record.duration):
            force_setattr(record, "duration", None)
    except ValueError:
        raise UpstreamInvalid(detail="a field of a job has an unexpected form") from None
    return record


def ended_job_from(record: EndedJobRecord) -> EndedJob:
    """Return our record of a job with its end. Raises UpstreamInvalid if a field has an unexpected form."""
    job = job_from(record)
    ended = record.last_updated_at if job.is_terminal else None
    try:
        end_time = None if ended is None else _time(ended)
    except ValueError:
        raise UpstreamInvalid(detail="the end of a job has an unexpected form") from None
    return EndedJob(**{name: getattr(job, name) for name in Job.__struct_fields__}, end_time=end_time)


def checked_connection(record: ConnectionRecord) -> ConnectionRecord:
    """Return the record. Raises UpstreamInvalid if its status is no word or one of its ids is no UUID."""
    ids = (record.connection_id, record.source_id, record.workspace_id)
    if WORD.fullmatch(record.status) is None or not all(map(is_uuid, ids)):
        raise UpstreamInvalid(detail="a field of a connection has an unexpected form")
    return record


def checked_workspace(record: WorkspaceRecord) -> WorkspaceRecord:
    """Return the record. Raises UpstreamInvalid if its id is no UUID."""
    if not is_uuid(record.workspace_id):
        raise UpstreamInvalid(detail="the id of a workspace has an unexpected form")
    return record


def triggered_job_from(job: Job) -> TriggeredJob:
    """Return what the answer to a trigger shows of a job."""
    return TriggeredJob(job_id=job.job_id, connection_id=job.connection_id, status=job.status, job_type=job.job_type)


@lru_cache(KEPT_WORDS)
def word(text: str) -> str:
    """Return a status or a job type as it is; ValueError if it has other characters than words have."""
    if WORD.fullmatch(text) is None:
        raise ValueError("a word has unexpected characters")
    return text


_time = lru_cache(KEPT_TEXTS)(normalise_time)


@lru_cache(KEPT_TEXTS)
def _has_passed(duration: str) -> bool:
    """Return whether it is a time that can have passed; ValueError for what Java's Duration never prints."""
    if ISO_DURATION.fullmatch(duration) is not None:
        return True
    if ODD_DURATION.fullmatch(duration) is None:
        raise ValueError("the duration is not ISO 8601 time")
    _log_odd_duration(duration)
    return False


@lru_cache(KEPT_WORDS)
def _log_odd_duration(text: str) -> None:
    """Log a text, once for all the jobs and reads that have it."""
    log.warning("odd_duration", duration=text)
