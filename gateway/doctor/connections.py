"""Check what clients' connections lead to: vanished ones, ones without mapping, and Airbyte's that no client has."""

from collections.abc import AsyncGenerator, Mapping, Sequence

from gateway.airbyte import MAX_JOBS, WorkspaceRecord
from gateway.doctor.finding import Finding, failure, passed, warning
from gateway.errors import UpstreamError, UpstreamRefused
from gateway.models import Connection
from gateway.services import Services
from gateway.times import format_time

MOST_NAMED = 5


async def check_mapped(services: Services) -> AsyncGenerator[Finding, None]:
    """Look for every mapped connection in Airbyte, twenty a call, and store the statuses that it tells."""
    mapped = {row.airbyte_id: row for row in await services.store.connections.all() if row.airbyte_id is not None}
    left = dict(mapped)
    unclaimed: list[Finding] = []
    for workspace in await _workspaces(services):
        connections = services.airbyte.all_connections(workspace.workspace_id)
        told = {record.connection_id: record.status async for record in connections}
        ours = {airbyte_id: told[airbyte_id] for airbyte_id in mapped if airbyte_id in told}
        await _store_statuses(services, ours, workspace.workspace_id)
        for airbyte_id, status in ours.items():
            for finding in _by_status(left.pop(airbyte_id, mapped[airbyte_id]), status):
                yield finding
        number = len(told) - len(ours)
        unclaimed += [_unclaimed(workspace, number)] if number else []
    for airbyte_id, row in left.items():
        async for finding in _missing(services, airbyte_id, row):
            yield finding
    yield passed("connections", f"{len(mapped)} mapped connections looked for in Airbyte")
    for finding in unclaimed:
        yield finding


async def check_unmapped(services: Services) -> AsyncGenerator[Finding, None]:
    """Warn of connections that lead nowhere."""
    unmapped = [row.id for row in await services.store.connections.all() if row.airbyte_id is None]
    if unmapped:
        yield warning(
            "connections",
            f"{len(unmapped)} without mapping, which no client can sync: {_named(unmapped)}",
            f"gateway connection map {unmapped[0]} --airbyte-id UUID",
        )


def _unclaimed(workspace: WorkspaceRecord, number: int) -> Finding:
    """Tell of Airbyte's connections that no client has, which is often as it should be."""
    return passed(
        "connections",
        f"{number} of Airbyte's in workspace {workspace.name} belong to no client",
        f"To give them to a client: gateway connection import --client SLUG --workspace {workspace.workspace_id}",
    )


def _named(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


async def _workspaces(services: Services) -> list[WorkspaceRecord]:
    found: dict[str, WorkspaceRecord] = {}
    walked = 0
    while page := await services.airbyte.workspaces(offset=walked):
        walked += len(page)
        found |= {record.workspace_id: record for record in page}
        if len(page) < MAX_JOBS:
            break
    return list(found.values())


async def _store_statuses(services: Services, told: Mapping[str, str], workspace_id: str) -> None:
    now = format_time(services.clock.now())
    await services.store.last_syncs.record_statuses(list(told.items()), checked_at=now, workspace_id=workspace_id)


async def _missing(services: Services, airbyte_id: str, row: Connection) -> AsyncGenerator[Finding, None]:
    """Ask for one that is in no list, which proves nothing: lists leave out deleted ones, and pages may hide some."""
    check = f"connection {row.id}"
    try:
        record = await services.airbyte.connection(airbyte_id)
    except UpstreamRefused as refusal:
        yield failure(
            check,
            f"{row.label}: Airbyte does not show {airbyte_id} ({refusal.detail})",
            f"gateway connection map {row.id} --airbyte-id UUID, or gateway connection remove",
        )
    except UpstreamError as error:
        yield failure(check, f"{row.label}: {error}", "Try again.")
    else:
        await _store_statuses(services, {airbyte_id: record.status}, record.workspace_id)
        for finding in _by_status(row, record.status):
            yield finding


def _by_status(row: Connection, status: str) -> Sequence[Finding]:
    """Return what to tell of a connection whose status in Airbyte is `status`."""
    check, text = f"connection {row.id}", f"{row.label}: {status} in Airbyte"
    if status == "active":
        return ()
    if status == "inactive":
        return (passed(check, text),)
    return (failure(check, text, "Map it to another connection or remove it."),)
