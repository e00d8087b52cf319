"""The records that all rooms pass around. Frozen; times are text in the product's one format.

`Job` and `TriggeredJob` name exactly the keys of the public API, in its order: what is not here cannot leak.
"""

from gateway.models.activity import COMMAND_LINE, ActivityEntry, Actor, activity_entry
from gateway.models.clients import SCOPES, ApiKey, Client, ClientLimit, Principal, RatePolicy, Scope, WorkingKeys
from gateway.models.connections import (
    ACTIVE,
    DEPRECATED,
    PENDING,
    ClientMonths,
    Connection,
    ConnectionsOfClient,
    MonthCounts,
    SyncDay,
    TwoMonths,
)
from gateway.models.jobs import (
    JOB_STATUSES,
    KNOWN_JOB_TYPES,
    TERMINAL_STATUSES,
    Attempt,
    EndedJob,
    ExplainedJob,
    Failure,
    FailureOrigin,
    FailureType,
    Job,
    JobDetail,
    PlacedJob,
    StreamCounts,
    TriggeredJob,
)
from gateway.models.people import Session, User, Visitor
from gateway.models.schedules import BasicSchedule, CronSchedule, ManualSchedule, Schedule
from gateway.models.usage import ClientTotals, HourUsage, KeyHour, KeyUsage, Totals

__all__ = [
    "ACTIVE",
    "COMMAND_LINE",
    "DEPRECATED",
    "JOB_STATUSES",
    "KNOWN_JOB_TYPES",
    "PENDING",
    "SCOPES",
    "TERMINAL_STATUSES",
    "ActivityEntry",
    "Actor",
    "ApiKey",
    "Attempt",
    "BasicSchedule",
    "Client",
    "ClientLimit",
    "ClientMonths",
    "ClientTotals",
    "Connection",
    "ConnectionsOfClient",
    "CronSchedule",
    "EndedJob",
    "ExplainedJob",
    "Failure",
    "FailureOrigin",
    "FailureType",
    "HourUsage",
    "Job",
    "JobDetail",
    "KeyHour",
    "KeyUsage",
    "ManualSchedule",
    "MonthCounts",
    "PlacedJob",
    "Principal",
    "RatePolicy",
    "Schedule",
    "Scope",
    "Session",
    "StreamCounts",
    "SyncDay",
    "Totals",
    "TriggeredJob",
    "TwoMonths",
    "User",
    "Visitor",
    "WorkingKeys",
    "activity_entry",
]
