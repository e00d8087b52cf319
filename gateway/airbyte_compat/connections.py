"""GET …/connections: names are the labels that the client knows; ids of what they join are the client's own."""

from starlette.requests import Request

from gateway.airbyte_compat.in_time import in_time
from gateway.airbyte_compat.own_connections import own_connection, own_connections
from gateway.airbyte_compat.paging import asks_for_workspace, cut, list_answer
from gateway.airbyte_compat.schedules import public_schedule
from gateway.airbyte_compat.staleness import staleness_of
from gateway.airbyte_compat.values import connection_status, epoch, make_streams, streams_content, without_nulls
from gateway.airbyte_compat.virtual_ids import VirtualIds, virtual_ids_of
from gateway.api.principal import principal_of
from gateway.models import CatalogStream, Connection, ConnectionDetail
from gateway.services import services_of
from gateway.web.responses import JSONAnswer

PUBLIC_STREAMS = "streams of the public API"
SYNC_MODES = frozenset(
    {
        *("full_refresh_overwrite", "full_refresh_overwrite_deduped", "full_refresh_append"),
        *("full_refresh_update", "full_refresh_soft_delete"),
        *("incremental_append", "incremental_deduped_history", "incremental_update", "incremental_soft_delete"),
    }
)


async def list_connections(request: Request) -> JSONAnswer:
    """Answer with a page of the client's connections, oldest first. Raises BadRequest, UpstreamError."""
    ids = await virtual_ids_of(request)
    include_deleted = request.query_params.get("includeDeleted", "").lower() == "true"
    is_asked_for = asks_for_workspace(request.query_params, ids.workspace)
    rows = await own_connections(request, include_deleted=include_deleted) if is_asked_for else []
    page, page_links = cut(request, "connections", rows)
    told = await in_time(request, services_of(request).syncs.catalog.of_all(principal_of(request).client, page))
    found = [(row, detail) for row in page if (detail := told.found.get(row.airbyte_id or "")) is not None]
    await make_streams((detail for _, detail in found), PUBLIC_STREAMS, _stream_content)
    content = [connection_content(ids, row, detail) for row, detail in found]
    return list_answer(content, page_links, headers=staleness_of(request, is_fresh=told.is_whole))


async def show_connection(request: Request) -> JSONAnswer:
    """Answer with one connection. Raises ConnectionNotFound, UpstreamError."""
    connection = await own_connection(request, request.path_params["id"])
    detail = await in_time(request, services_of(request).syncs.catalog.of(principal_of(request).client, connection))
    return JSONAnswer(connection_content(await virtual_ids_of(request), connection, detail))


def connection_content(ids: VirtualIds, connection: Connection, detail: ConnectionDetail) -> dict[str, object]:
    """Return a connection as Airbyte's public API has it."""
    return {
        "connectionId": detail.airbyte_id,
        "name": connection.label,
        "sourceId": ids.of("source", detail.source_id),
        "destinationId": ids.of("destination", detail.destination_id),
        "workspaceId": ids.workspace,
        "status": connection_status(detail.status),
        "schedule": public_schedule(connection.schedule),
        "configurations": {"streams": streams_content(detail, PUBLIC_STREAMS, _stream_content)},
        "createdAt": epoch(connection.created_at),
        "tags": [],
        "prefix": detail.prefix,
    }


def _stream_content(stream: CatalogStream) -> dict[str, object]:
    return without_nulls(
        {
            "name": stream.name,
            "namespace": stream.namespace,
            "syncMode": stream.sync_mode if stream.sync_mode in SYNC_MODES else None,
            "cursorField": stream.cursor_field,
            "primaryKey": stream.primary_key,
        }
    )
