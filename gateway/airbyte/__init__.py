"""Everything that talks to Airbyte: `Airbyte` offers its resources in our own records."""

from gateway.airbyte.airbyte import MAX_JOBS, Airbyte
from gateway.airbyte.bulkhead import PERMIT_WAIT_SECONDS, Bulkhead, Kind
from gateway.airbyte.call import Deadlines
from gateway.airbyte.client import Transport, in_process_transport
from gateway.airbyte.connect import connect_airbyte
from gateway.airbyte.mapping import triggered_job_from
from gateway.airbyte.schema import ConnectionRecord, WorkspaceRecord

__all__ = [
    "MAX_JOBS",
    "PERMIT_WAIT_SECONDS",
    "Airbyte",
    "Bulkhead",
    "ConnectionRecord",
    "Deadlines",
    "Kind",
    "Transport",
    "WorkspaceRecord",
    "connect_airbyte",
    "in_process_transport",
    "triggered_job_from",
]
