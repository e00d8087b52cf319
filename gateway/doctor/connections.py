"""Checks of what clients' connections lead to: vanished ones, ones without mapping, and Airbyte's that nobody has."""

from collections.abc import AsyncGenerator, Mapping, Sequence

from gateway.airbyte import MAX_JOBS, WorkspaceRecord
from gateway.doctor.finding import Finding, failure, passed, warning
from gateway.errors import UpstreamError, UpstreamRefused
from gateway.models import Connection
from gateway.services import Services
from gateway.times import format_time

MOST_NAMED = 5


async def check_mapped(services: Services) -> AsyncGenerator[Finding, None]:
    """A call for each twenty connections of Airbyte's; what Airbyte tells of a status is remembered on the way."""
    mapped = {row.airbyte_id: row for row in await services.store.connections.all() if row.airbyte_id is not None}
    left = dict(mapped)
    spare: list[Finding] = []
    for workspace in await _workspaces(services):
        connections = services.airbyte.all_connections(workspace.workspace_id)
        told = {record.connection_id: record.status async for record in connections}
        ours = {airbyte_id: told[airbyte_id] for airbyte_id in mapped if airbyte_id in told}
        await _remember(services, ours, workspace.workspace_id)
        for airbyte_id, status in ours.items():
            for finding in _by_status(left.pop(airbyte_id, mapped[airbyte_id]), status):
                yield finding
        number = len(told) - len(ours)
        spare += [_nobodys(workspace, number)] if number else []
    for airbyte_id, row in left.items():
        async for finding in _missing(services, airbyte_id, row):
            yield finding
    yield passed("connections", f"{len(mapped)} mapped connections looked for in Airbyte")
    for finding in spare:
        yield finding


async def check_unmapped(services: Services) -> AsyncGenerator[Finding, None]:
    unmapped = [row.id for row in await services.store.connections.all() if row.airbyte_id is None]
    if unmapped:
        yield warning(
            "connections",
            f"{len(unmapped)} without mapping, which no client can sync: {_named(unmapped)}",
            f"gateway connection map {unmapped[0]} --airbyte-id UUID",
        )


def _nobodys(workspace: WorkspaceRecord, number: int) -> Finding:
    """Often as it should be: an Airbyte may have connections that are no client's."""
    return passed(
        "connections",
        f"{number} of Airbyte's in workspace {workspace.name} are no client's",
        f"If they are to be: gateway connection import --client SLUG --workspace {workspace.workspace_id}",
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


async def _remember(services: Services, told: Mapping[str, str], workspace_id: str) -> None:
    now = format_time(services.clock.now())
    await services.store.last_syncs.record_statuses(list(told.items()), checked_at=now, workspace_id=workspace_id)


async def _missing(services: Services, airbyte_id: str, row: Connection) -> AsyncGenerator[Finding, None]:
    """Not in a list, which proves nothing: deleted ones are left out, and pages may hide some."""
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
        await _remember(services, {airbyte_id: record.status}, record.workspace_id)
        for finding in _by_status(row, record.status):
            yield finding


def _by_status(row: Connection, status: str) -> Sequence[Finding]:
    """What is to be told of a connection of which Airbyte says this."""
    check, text = f"connection {row.id}", f"{row.label}: {status} in Airbyte"
    if status == "active":
        return ()
    if status == "inactive":
        return (passed(check, text),)
    return (failure(check, text, "Map it to another connection or remove it."),)
