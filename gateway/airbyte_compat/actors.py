"""GET …/sources and …/destinations: what the client's connections join, by kind. Configurations stay inside.

Names are the gateway's own: one in Airbyte may speak of another customer that shares the source or the destination.
"""

from typing import Literal

from starlette.requests import Request

from gateway.airbyte_compat.in_time import in_time
from gateway.airbyte_compat.own_connections import own_connections
from gateway.airbyte_compat.paging import asks_for_workspace, cut, list_answer
from gateway.airbyte_compat.staleness import staleness_of
from gateway.airbyte_compat.values import epoch
from gateway.airbyte_compat.virtual_ids import VirtualIds, virtual_ids_of
from gateway.api.principal import principal_of
from gateway.errors import DestinationNotFound, SourceNotFound, UpstreamForbidden
from gateway.models import Connection, ConnectionDetail
from gateway.services import services_of
from gateway.syncs.connection_catalog import Told
from gateway.web.responses import JSONAnswer

Role = Literal["source", "destination"]
NONE_SUCH = {"source": SourceNotFound, "destination": DestinationNotFound}
CUSTOM = "custom"
"""The kind of a connector that has no name."""


async def list_sources(request: Request) -> JSONAnswer:
    """Answer with a page of what the client's connections read. Raises BadRequest, UpstreamError."""
    return await _list(request, "source")


async def show_source(request: Request) -> JSONAnswer:
    """Answer with one source. Raises SourceNotFound, UpstreamError."""
    return await _show(request, "source")


async def list_destinations(request: Request) -> JSONAnswer:
    """Answer with a page of where the client's connections write to. Raises BadRequest, UpstreamError."""
    return await _list(request, "destination")


async def show_destination(request: Request) -> JSONAnswer:
    """Answer with one destination. Raises DestinationNotFound, UpstreamError."""
    return await _show(request, "destination")


async def _list(request: Request, role: Role) -> JSONAnswer:
    ids = await virtual_ids_of(request)
    if not asks_for_workspace(request.query_params, ids.workspace):
        return list_answer(*cut(request, f"{role}s", []))
    return await in_time(request, _told_list(request, ids, role))


async def _told_list(request: Request, ids: VirtualIds, role: Role) -> JSONAnswer:
    users = await _first_users(request, role)
    page, page_links = cut(request, f"{role}s", list(users.found.items()))
    catalog = services_of(request).syncs.catalog
    kinds = await catalog.kinds(principal_of(request).client, role, dict(page))
    rows = [
        _content(ids, role, airbyte_id, connection, kinds.found[airbyte_id])
        for airbyte_id, connection in page
        if airbyte_id in kinds.found
    ]
    headers = staleness_of(request, is_fresh=users.is_whole and kinds.is_whole)
    return list_answer(rows, page_links, headers=headers)


async def _show(request: Request, role: Role) -> JSONAnswer:
    ids = await virtual_ids_of(request)
    wanted = request.path_params["id"].lower()
    if not ids.is_own(role, wanted):
        raise NONE_SUCH[role]
    return await in_time(request, _told_one(request, ids, role, wanted))


async def _told_one(request: Request, ids: VirtualIds, role: Role, wanted: str) -> JSONAnswer:
    users = await _first_users(request, role)
    for airbyte_id, connection in users.found.items():
        if ids.of(role, airbyte_id) == wanted:
            catalog = services_of(request).syncs.catalog
            kinds = await catalog.kinds(principal_of(request).client, role, {airbyte_id: connection})
            if airbyte_id not in kinds.found:
                raise NONE_SUCH[role]
            return JSONAnswer(_content(ids, role, airbyte_id, connection, kinds.found[airbyte_id]))
    if not users.is_whole:
        raise UpstreamForbidden(detail=f"the {role} may be one of a connection of which Airbyte does not tell")
    raise NONE_SUCH[role]


async def _first_users(request: Request, role: Role) -> Told[Connection]:
    """Return Airbyte's ids of the client's sources or destinations, oldest first, each with its oldest connection."""
    connections = await own_connections(request)
    told = await services_of(request).syncs.catalog.of_all(principal_of(request).client, connections)
    users: dict[str, Connection] = {}
    for row in connections:
        detail = told.found.get(row.airbyte_id or "")
        if detail is not None:
            users.setdefault(_id_in(detail, role), row)
    return Told(users, is_whole=told.is_whole)


def _id_in(detail: ConnectionDetail, role: Role) -> str:
    return detail.source_id if role == "source" else detail.destination_id


def _content(ids: VirtualIds, role: Role, airbyte_id: str, connection: Connection, kind: str) -> dict[str, object]:
    kind = kind or CUSTOM
    return {
        f"{role}Id": ids.of(role, airbyte_id),
        "name": connection.label if role == "source" else kind,
        f"{role}Type": kind,
        "definitionId": ids.of(f"{role} definition", kind),
        "workspaceId": ids.workspace,
        "configuration": {},
        "createdAt": epoch(connection.created_at),
    }
