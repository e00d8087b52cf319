"""Talk to Airbyte: its resources as our records, its failures as `UpstreamError`."""

from gateway.airbyte.airbyte import Airbyte
from gateway.airbyte.bulkhead import Bulkhead, Caller, Kind, OwnCalls
from gateway.airbyte.config_schema import AttemptRecord, FailureRecord, JobReport, StreamRecord
from gateway.airbyte.connect import connect_airbyte
from gateway.airbyte.job_lists import JobList
from gateway.airbyte.mapping import triggered_job_from
from gateway.airbyte.paths import MAX_JOBS
from gateway.airbyte.schedule import schedule_of
from gateway.airbyte.schema import ConnectionRecord, WorkspaceRecord
from gateway.airbyte.timings import AirbyteTimings, Deadlines

__all__ = [
    "MAX_JOBS",
    "Airbyte",
    "AirbyteTimings",
    "AttemptRecord",
    "Bulkhead",
    "Caller",
    "ConnectionRecord",
    "Deadlines",
    "FailureRecord",
    "JobList",
    "JobReport",
    "Kind",
    "OwnCalls",
    "StreamRecord",
    "WorkspaceRecord",
    "connect_airbyte",
    "schedule_of",
    "triggered_job_from",
]
