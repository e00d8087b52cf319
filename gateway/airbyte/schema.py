"""The shape of Airbyte's answers: only the fields we use, typed. Anything else in them is never parsed.

Success bodies leave out fields that have no value; they are None here.
"""

from typing import Annotated

import msgspec

from gateway.models import Job

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class AirbyteRecord(msgspec.Struct, frozen=True, rename="camel"):
    """An object of the public API, its keys in camel case."""


class RawPage(msgspec.Struct, frozen=True):
    """A page of any list. Its rows are parsed one by one, so that an odd one does not cost the others."""

    data: list[msgspec.Raw]


class JobRecord(Job, frozen=True, rename="camel", gc=False):
    """A job as Airbyte lists it: decoded straight into ours, which it is once `job_from` has checked it.

    `startTime` is when the job was created, not when work began.
    """

    job_id: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    status: str
    job_type: str
    connection_id: str
    start_time: str | None = None
    bytes_synced: Int64 | None = None
    rows_synced: Int64 | None = None
    duration: str | None = None


class EndedJobRecord(JobRecord, frozen=True):
    """`lastUpdatedAt` is there once the job has ended, and is its end then."""

    last_updated_at: str | None = None


class ConnectionRecord(AirbyteRecord, frozen=True):
    """`schedule` may be anything: it is read apart (`schedule_of`), so that an odd one costs no connection."""

    connection_id: str
    name: str
    source_id: str
    workspace_id: str
    status: str
    schedule: object = None


class ScheduleRecord(AirbyteRecord, frozen=True):
    """When a connection syncs by itself: as a cron expression, or in words such as `Every 24 HOURS`."""

    schedule_type: str
    cron_expression: str | None = None
    basic_timing: str | None = None


class CatalogStreamRecord(AirbyteRecord, frozen=True):
    """A stream that a connection syncs."""

    name: str
    namespace: str | None = None
    sync_mode: str | None = None
    cursor_field: tuple[str, ...] = ()
    primary_key: tuple[tuple[str, ...], ...] = ()


class CatalogRecord(AirbyteRecord, frozen=True):
    """The streams of a connection, as they are configured."""

    streams: tuple[CatalogStreamRecord, ...] = ()


class WholeConnectionRecord(ConnectionRecord, frozen=True, kw_only=True):
    """A connection with what it syncs, and where to. `createdAt` is in epoch seconds here."""

    destination_id: str
    prefix: str | None = None
    configurations: CatalogRecord = CatalogRecord()


class DestinationRecord(AirbyteRecord, frozen=True):
    """`destinationType` is empty for custom connectors. `configuration` stays unread."""

    destination_id: str
    destination_type: str


class SourceRecord(AirbyteRecord, frozen=True):
    """`sourceType` is empty for custom connectors. `configuration` is the customer's own and stays unread."""

    source_id: str
    source_type: str


class WorkspaceRecord(AirbyteRecord, frozen=True):
    """A workspace, which holds connections."""

    workspace_id: str
    name: str


class TokenRecord(msgspec.Struct, frozen=True):
    """One of the two token routes answers `access_token` alone; `expires_in` may be wrong in both directions."""

    access_token: str
    expires_in: object = None

    def __repr__(self) -> str:
        """Leave out the token."""
        return "TokenRecord(…)"


class Problem(msgspec.Struct, frozen=True):
    """What tells one 4xx from another. The text members name ids and hosts, so they are never read."""

    title: str | None = None
