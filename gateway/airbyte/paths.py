"""Build the paths of calls to Airbyte, from constants, checked UUIDs and integers only."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

from gateway.validation import is_uuid

JobOrder = Literal["createdAt|ASC", "createdAt|DESC", "updatedAt|ASC", "updatedAt|DESC"]
MAX_JOBS = 100
"""Airbyte's largest page."""
CONNECTION_PAGE = 20
"""Small: each connection carries its whole catalog, so that a hundred can be many megabytes."""
SOURCE_PAGE = 50
"""Each source carries its whole configuration, which is smaller."""


def newest_syncs(airbyte_id: str, *, limit: int, offset: int) -> str:
    """Return where a connection's syncs are, newest first: Airbyte's own default is oldest first."""
    page = f"limit={limit:d}&offset={offset:d}"
    return f"/jobs?connectionId={checked_uuid(airbyte_id)}&orderBy=createdAt%7CDESC&{page}&jobType=sync"


def newest_jobs(airbyte_id: str, *, limit: int) -> str:
    """Return where a connection's jobs of all types are, newest first."""
    return f"/jobs?connectionId={checked_uuid(airbyte_id)}&orderBy=createdAt%7CDESC&limit={limit:d}"


def syncs_created_since(airbyte_id: str, since: datetime, *, offset: int) -> str:
    """Return where a connection's syncs created at or after `since` are, oldest first."""
    return (
        f"/jobs?connectionId={checked_uuid(airbyte_id)}&jobType=sync&createdAtStart={moment(since)}"
        f"&orderBy=createdAt%7CASC&limit={MAX_JOBS}&offset={offset:d}"
    )


def syncs_updated_since(workspace_ids: Sequence[str], since: datetime, *, offset: int) -> str:
    """Return where workspaces' syncs that changed at or after `since` are, newest change first."""
    return (
        f"/jobs?workspaceIds={_listed(workspace_ids)}&jobType=sync&updatedAtStart={moment(since)}"
        f"&orderBy=updatedAt%7CDESC&limit={MAX_JOBS}&offset={offset:d}"
    )


def jobs(
    airbyte_id: str | None,
    workspace_ids: Sequence[str],
    *,
    filters: Mapping[str, str | None],
    times: Mapping[str, datetime | None],
    order: JobOrder = "createdAt|DESC",
    limit: int,
    offset: int,
) -> str:
    """Return where jobs of a connection, or else of workspaces, are. `filters` are words."""
    of = f"workspaceIds={_listed(workspace_ids)}" if airbyte_id is None else f"connectionId={checked_uuid(airbyte_id)}"
    chosen = [*filters.items(), *((name, time and moment(time)) for name, time in times.items())]
    query = "".join(f"&{name}={value}" for name, value in chosen if value)
    return f"/jobs?{of}&orderBy={order.replace('|', '%7C')}&limit={limit:d}&offset={offset:d}{query}"


def job(job_id: int) -> str:
    """Return where one job is, of whatever connection."""
    return f"/jobs/{job_id:d}"


def connection(airbyte_id: str) -> str:
    """Return where one connection is."""
    return f"/connections/{checked_uuid(airbyte_id)}"


def connections(workspace_ids: Sequence[str], *, offset: int, include_deleted: bool) -> str:
    """Return where a page of workspaces' connections is."""
    return (
        f"/connections?workspaceIds={_listed(workspace_ids)}"
        f"&includeDeleted={'true' if include_deleted else 'false'}&limit={CONNECTION_PAGE}&offset={offset:d}"
    )


def source(source_id: str) -> str:
    """Return where one source is."""
    return f"/sources/{checked_uuid(source_id)}"


def destination(destination_id: str) -> str:
    """Return where one destination is."""
    return f"/destinations/{checked_uuid(destination_id)}"


def sources(workspace_id: str, *, offset: int) -> str:
    """Return where a page of a workspace's sources is."""
    return f"/sources?workspaceIds={checked_uuid(workspace_id)}&limit={SOURCE_PAGE}&offset={offset:d}"


def workspaces(*, offset: int) -> str:
    """Return where a page of the workspaces is that the credential sees."""
    return f"/workspaces?limit={MAX_JOBS}&offset={offset:d}"


def checked_uuid(text: str) -> str:
    """Return a canonical UUID as it is; ValueError for anything else."""
    if not is_uuid(text):
        raise ValueError("not a canonical UUID")
    return text


def _listed(workspace_ids: Sequence[str]) -> str:
    """Join workspaces; ValueError without any: an empty list would widen the answer to all that the credential sees."""
    if not workspace_ids:
        raise ValueError("no workspaces")
    return ",".join(map(checked_uuid, workspace_ids))


def moment(time: datetime) -> str:
    """Return the time as both of Airbyte's APIs read it."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
