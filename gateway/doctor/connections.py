"""Check what clients' connections lead to: vanished ones, ones without mapping, and Airbyte's that no client has."""

from collections.abc import AsyncGenerator, Container, Iterable, Iterator, Sequence

from gateway.airbyte import WorkspaceRecord
from gateway.doctor.finding import Finding, failure, passed, warning
from gateway.errors import UpstreamError, UpstreamInvalid, UpstreamRefused
from gateway.models import ACTIVE, Connection
from gateway.services import Services
from gateway.syncs.statuses import record_statuses
from gateway.times import format_time

MOST_NAMED = 5


async def check_mapped(services: Services) -> AsyncGenerator[Finding, None]:
    """Look for every mapped connection in Airbyte, twenty a call, and store the statuses that it tells."""
    mapped = {row.airbyte_id: row for row in await services.store.connections.all() if row.airbyte_id is not None}
    left, number_lost = dict(mapped), 0
    unclaimed: list[Finding] = []
    workspaces = await _workspaces(services)
    for workspace in workspaces:
        asked_at = format_time(services.clock.now())
        try:
            connections = services.airbyte.lists.all_connections(workspace.workspace_id)
            told = {record.connection_id: record async for record in connections}
        except UpstreamInvalid as error:
            lost = [left.pop(key) for key, row in list(left.items()) if row.workspace_id == workspace.workspace_id]
            number_lost += len(lost)
            yield _refused(workspace.name, error.detail, lost)
            continue
        ours = {airbyte_id: told[airbyte_id] for airbyte_id in mapped if airbyte_id in told}
        await record_statuses(services.store, ours.values(), checked_at=asked_at)
        for airbyte_id, record in ours.items():
            for finding in _by_status(left.pop(airbyte_id, mapped[airbyte_id]), record.status):
                yield finding
        number = len(told) - len(ours)
        unclaimed += [_unclaimed(workspace, number)] if number else []
    for finding in _unseen(left.values(), {workspace.workspace_id for workspace in workspaces}):
        yield finding
    for airbyte_id, row in left.items():
        async for finding in _missing(services, airbyte_id, row):
            yield finding
    if number_lost < len(mapped) or not mapped:
        yield passed("connections", f"{len(mapped) - number_lost} mapped connections looked for in Airbyte")
    for finding in [*_odd_rows(services.metrics.odd_rows), *unclaimed]:
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


async def check_round(services: Services) -> AsyncGenerator[Finding, None]:
    """Tell how long it takes until each connection's last sync was asked for by itself."""
    seconds = await services.syncs.backfill.round_seconds()
    if seconds is None:
        yield passed("last syncs", "no connection was asked for by itself yet")
    else:
        yield passed("last syncs", f"each was asked for by itself within the last {round(seconds)} s")


def _unseen(rows: Iterable[Connection], seen: Container[str]) -> Iterator[Finding]:
    """Tell of workspaces in use that Airbyte does not list: deleted ones, or ones that the credential may not read."""
    by_workspace: dict[str, list[Connection]] = {}
    for row in rows:
        if row.workspace_id is not None and row.workspace_id not in seen:
            by_workspace.setdefault(row.workspace_id, []).append(row)
    for workspace_id, lost in by_workspace.items():
        yield _refused(workspace_id, "Airbyte does not list it", lost)


def _refused(name: str, reason: str, rows: Sequence[Connection]) -> Finding:
    """Tell of a workspace that cannot be read, and of clients' connections in it."""
    named = f": {_named([row.id for row in rows])}" if rows else ""
    return failure(
        "connections",
        f"workspace {name} cannot be read ({reason}); {len(rows)} mapped connections are in it{named}",
        "Let the gateway's credential read it, or remove these connections.",
    )


def _odd_rows(number: int) -> Sequence[Finding]:
    """Warn of rows that this process dropped."""
    if not number:
        return ()
    return (
        warning(
            "airbyte rows",
            f"{number} rows of Airbyte's lists have an unexpected form and are left out",
            "Compare Airbyte's version with those that the gateway supports.",
        ),
    )


def _unclaimed(workspace: WorkspaceRecord, number: int) -> Finding:
    """Tell of Airbyte's connections that no client has, which is often as it should be."""
    return passed(
        "connections",
        f"{number} without a client in Airbyte's workspace {workspace.name}",
        f"To assign them to a client: gateway connection import --client SLUG --workspace {workspace.workspace_id}",
    )


def _named(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


async def _workspaces(services: Services) -> list[WorkspaceRecord]:
    found: dict[str, WorkspaceRecord] = {}
    async for page in services.airbyte.lists.workspace_pages():
        found |= {record.workspace_id: record for record in page.rows}
    return list(found.values())


async def _missing(services: Services, airbyte_id: str, row: Connection) -> AsyncGenerator[Finding, None]:
    """Ask for one that is in no list, which proves nothing: lists leave out deleted ones, and pages may hide some."""
    check = f"connection {row.id}"
    asked_at = format_time(services.clock.now())
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
        await record_statuses(services.store, [record], checked_at=asked_at)
        for finding in _by_status(row, record.status):
            yield finding


def _by_status(row: Connection, status: str) -> Sequence[Finding]:
    """Return what to tell of a connection whose status in Airbyte is `status`."""
    check, text = f"connection {row.id}", f"{row.label}: {status} in Airbyte"
    if status == ACTIVE:
        return ()
    if status == "inactive":
        return (passed(check, text),)
    return (failure(check, text, "Map it to another connection or remove it."),)
