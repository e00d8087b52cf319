"""Everything that talks to Airbyte: `Airbyte` offers its resources in our own records."""

from gateway.airbyte.airbyte import MAX_JOBS, Airbyte
from gateway.airbyte.call import Deadlines
from gateway.airbyte.client import Transport, in_process_transport
from gateway.airbyte.connect import connect_airbyte
from gateway.airbyte.mapping import is_uuid, triggered_job_from
from gateway.airbyte.resilience import LANE_WAIT_SECONDS, Kind, Lane, SingleFlight
from gateway.airbyte.schema import ConnectionRecord, WorkspaceRecord

__all__ = [
    "LANE_WAIT_SECONDS",
    "MAX_JOBS",
    "Airbyte",
    "ConnectionRecord",
    "Deadlines",
    "Kind",
    "Lane",
    "SingleFlight",
    "Transport",
    "WorkspaceRecord",
    "connect_airbyte",
    "in_process_transport",
    "is_uuid",
    "triggered_job_from",
]
