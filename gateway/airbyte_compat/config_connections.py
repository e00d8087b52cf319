"""POST /api/v1/connections/get, list, sync and status: the Config API's calls about connections."""

from starlette.requests import Request

from gateway.airbyte_compat.config_body import OneConnection, OneWorkspace, SeveralConnections, read_body
from gateway.airbyte_compat.config_jobs import detail_of
from gateway.airbyte_compat.config_values import job_info
from gateway.airbyte_compat.in_time import in_time
from gateway.airbyte_compat.job_actions import latest_answer, start_sync
from gateway.airbyte_compat.own_connections import own_connection, own_connections
from gateway.airbyte_compat.schedules import config_schedule
from gateway.airbyte_compat.staleness import staleness_of
from gateway.airbyte_compat.values import (
    connection_status,
    epoch,
    job_status,
    make_streams,
    streams_content,
    without_nulls,
)
from gateway.airbyte_compat.virtual_ids import VirtualIds, virtual_ids_of
from gateway.api.principal import principal_of
from gateway.errors import BadRequest, ConnectionNotFound, JobNotFound, WorkspaceNotFound
from gateway.models import ACTIVE, TERMINAL_STATUSES, CatalogStream, Connection, ConnectionDetail
from gateway.services import services_of
from gateway.web.responses import JSONAnswer

DESTINATION_MODES = {"deduped_history": "append_dedup", "overwrite_deduped": "overwrite_dedup"}
"""The second half of a sync mode of the public API, where the Config API has another word."""
CONFIG_STREAMS = "streams of the Config API"
MOST_ASKED = 100
TOO_MANY = f"connectionIds may have {MOST_ASKED} at most"


async def get_connection(request: Request) -> JSONAnswer:
    """Answer with a connection and its catalog, from which Dagster makes its assets.

    Raises BadRequest, ConnectionNotFound, UpstreamError.
    """
    connection = await own_connection(request, (await read_body(request, OneConnection)).connection_id)
    detail = await in_time(request, services_of(request).syncs.catalog.of(principal_of(request).client, connection))
    return JSONAnswer(_content(await virtual_ids_of(request), connection, detail))


async def list_connections_of_workspace(request: Request) -> JSONAnswer:
    """Answer with all of the client's connections. Raises BadRequest, WorkspaceNotFound, UpstreamError."""
    ids = await virtual_ids_of(request)
    if (await read_body(request, OneWorkspace)).workspace_id.lower() != ids.workspace:
        raise WorkspaceNotFound
    rows = await own_connections(request)
    told = await in_time(request, services_of(request).syncs.catalog.of_all(principal_of(request).client, rows))
    found = [(row, detail) for row in rows if (detail := told.found.get(row.airbyte_id or "")) is not None]
    await make_streams((detail for _, detail in found), CONFIG_STREAMS, _stream)
    content = {"connections": [_content(ids, row, detail) for row, detail in found]}
    return JSONAnswer(content, headers=staleness_of(request, is_fresh=told.is_whole))


async def sync_connection(request: Request) -> JSONAnswer:
    """Start a sync, and answer with its job or with the one under way.

    Raises BadRequest, ConnectionNotFound and what `start_sync` raises.
    """
    until = latest_answer(request)
    body = await read_body(request, OneConnection)
    job = await start_sync(request, body.connection_id, until=until)
    try:
        return JSONAnswer(job_info(await detail_of(request, job, until=until)))
    except JobNotFound as error:
        raise ConnectionNotFound(detail=error.detail) from error


async def show_statuses(request: Request) -> JSONAnswer:
    """Answer with how the last sync of each connection went. Raises BadRequest, ConnectionNotFound."""
    asked = (await read_body(request, SeveralConnections)).connection_ids
    if len(asked) > MOST_ASKED:
        raise BadRequest(TOO_MANY)
    last_sync = services_of(request).syncs.last_sync
    is_fresh = await in_time(request, last_sync.ensure_fresh(principal_of(request).client.id))
    statuses = [_status(await own_connection(request, each)) for each in asked]
    return JSONAnswer(statuses, headers=staleness_of(request, is_fresh=is_fresh))


def _status(connection: Connection) -> dict[str, object]:
    last = connection.last_sync_status
    has_ended = last in TERMINAL_STATUSES
    return without_nulls(
        {
            "connectionId": connection.airbyte_id,
            "connectionSyncStatus": _sync_status(connection),
            "isRunning": last is not None and not has_ended,
            "lastSyncJobId": connection.last_job_id,
            "lastSyncJobStatus": job_status(last) if last and has_ended else None,
            "lastSyncJobCreatedAt": epoch(connection.last_sync_at),
            "lastSuccessfulSync": epoch(connection.last_ended_at) if last == "succeeded" else None,
            "scheduleData": config_schedule(connection.schedule).get("scheduleData"),
        }
    )


def _sync_status(connection: Connection) -> str:
    """Return Airbyte's word for what the newest sync came to, in Airbyte's order of tests."""
    last = connection.last_sync_status
    if last is not None and last not in TERMINAL_STATUSES:
        return "running" if job_status(last) == "running" else "pending"
    if connection.status != ACTIVE:
        return "paused"
    return {None: "pending", "succeeded": "synced"}.get(last, "incomplete")


def _content(ids: VirtualIds, connection: Connection, detail: ConnectionDetail) -> dict[str, object]:
    return {
        "connectionId": detail.airbyte_id,
        "name": connection.label,
        "namespaceDefinition": "destination",
        "prefix": detail.prefix,
        "sourceId": ids.of("source", detail.source_id),
        "destinationId": ids.of("destination", detail.destination_id),
        "workspaceId": ids.workspace,
        "operationIds": [],
        "syncCatalog": {"streams": streams_content(detail, CONFIG_STREAMS, _stream)},
        **config_schedule(connection.schedule),
        "status": connection_status(detail.status),
        "breakingChange": False,
        "created_at": epoch(connection.created_at),
        "tags": [],
    }


def _stream(stream: CatalogStream) -> dict[str, object]:
    """Return a stream. Its fields are not told: no program needs them, and they may be a thousand."""
    read_mode, write_mode = _modes(stream.sync_mode or "")
    found = {
        "name": stream.name,
        "namespace": stream.namespace,
        "jsonSchema": {"type": "object", "properties": {}},
        "supportedSyncModes": [read_mode],
    }
    chosen = {
        "syncMode": read_mode,
        "cursorField": stream.cursor_field,
        "destinationSyncMode": write_mode,
        "primaryKey": stream.primary_key,
        "aliasName": stream.name,
        "selected": True,
    }
    return {"stream": without_nulls(found), "config": chosen}


def _modes(sync_mode: str) -> tuple[str, str]:
    """Return how a stream is read and how it is written, which the public API tells in one word."""
    for read_mode in ("full_refresh", "incremental"):
        if sync_mode.startswith(f"{read_mode}_"):
            write_mode = sync_mode.removeprefix(f"{read_mode}_")
            return read_mode, DESTINATION_MODES.get(write_mode, write_mode)
    return "full_refresh", "append"
