"""The routes for connections, sources, destinations and workspaces."""

from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import TypeVar
from zlib import crc32

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.sandbox.faults import Faults
from gateway.sandbox.query import page_links, read_flag, read_ids, read_page
from gateway.sandbox.records import Actor, Connection, Stream, Workspace
from gateway.sandbox.refusals import Opaque, forbidden, not_found
from gateway.sandbox.wire import json_answer, parse_uuid, without_nulls
from gateway.sandbox.world import World

Record = TypeVar("Record", Actor, Connection, Workspace)


class Catalog:
    """Serves what a world has besides its jobs."""

    def __init__(self, *, world: World, faults: Faults, base: str) -> None:
        self.world = world
        self.faults = faults
        self.base = base
        self._passes = count(1)

    def routes(self) -> list[Route]:
        """Return the routes of connections, sources, destinations and workspaces."""
        return [
            Route("/connections", self.list_connections),
            Route("/connections/{id}", self.connection),
            Route("/sources", self.list_sources),
            Route("/sources/{id}", self.source),
            Route("/destinations", self.list_destinations),
            Route("/destinations/{id}", self.destination),
            Route("/workspaces", self.list_workspaces),
            Route("/workspaces/{id}", self.workspace),
        ]

    async def list_connections(self, request: Request) -> Response:
        """Answer with a page of connections; deleted ones only if they are asked for."""
        deleted = read_flag(request.query_params, "includeDeleted")
        rows = [row for row in self.world.connections.values() if deleted or row.status != "deprecated"]
        return self._page(request, rows, connection_body)

    async def list_sources(self, request: Request) -> Response:
        """Answer with a page of sources."""
        return self._page(request, self.world.sources.values(), source_body)

    async def list_destinations(self, request: Request) -> Response:
        """Answer with a page of destinations."""
        return self._page(request, self.world.destinations.values(), destination_body)

    async def list_workspaces(self, request: Request) -> Response:
        """Answer with a page of workspaces."""
        return self._page(request, self.world.workspaces.values(), workspace_body)

    async def connection(self, request: Request) -> Response:
        """Answer with one connection. Raises Refusal."""
        return json_answer(connection_body(self._known(request, "connection", self.world.connections)))

    async def source(self, request: Request) -> Response:
        """Answer with one source. Raises Refusal."""
        return json_answer(source_body(self._known(request, "source", self.world.sources)))

    async def destination(self, request: Request) -> Response:
        """Answer with one destination. Raises Refusal."""
        return json_answer(destination_body(self._known(request, "destination", self.world.destinations)))

    async def workspace(self, request: Request) -> Response:
        """Answer with one workspace. Raises Refusal."""
        return json_answer(workspace_body(self._known(request, "workspace", self.world.workspaces)))

    def _page(self, request: Request, rows: Iterable[Record], body: Callable[[Record], dict[str, object]]) -> Response:
        params = request.query_params
        limit, offset = read_page(params)
        workspace_ids = read_ids(params, "workspaceIds")
        if self.faults.user_mode and not self.world.workspaces.keys() >= set(workspace_ids):
            raise forbidden()
        # Airbyte has no ORDER BY here: the order means nothing, and may change between two pages.
        salt = next(self._passes) if self.faults.unordered else 0
        listed = [row for row in rows if not workspace_ids or row.workspace_id in workspace_ids]
        listed.sort(key=lambda row: crc32(f"{salt}/{row.record_id}".encode()))
        page = listed[offset : offset + limit]
        carried = {
            "includeDeleted": "true" if read_flag(params, "includeDeleted") else "false",
            "workspaceIds": ",".join(workspace_ids),
        }
        noun = request.url.path.rpartition("/")[2]
        links = page_links(f"{self.base}/{noun}", carried, limit=limit, offset=offset, rows=len(page))
        return json_answer({**links, "data": [body(row) for row in page]})

    def _known(self, request: Request, resource_type: str, records: Mapping[str, Record]) -> Record:
        record_id = parse_uuid(request.path_params["id"])
        record = records.get(record_id or "")
        if record is not None:
            return record
        if self.faults.user_mode:
            raise forbidden()
        raise not_found(resource_type, record_id) if record_id else Opaque(500)


def connection_body(connection: Connection) -> dict[str, object]:
    """Return a connection as JSON shows it; `createdAt` is in epoch seconds, where jobs have ISO text."""
    return {
        "connectionId": connection.connection_id,
        "name": connection.name,
        "sourceId": connection.source_id,
        "destinationId": connection.destination_id,
        "workspaceId": connection.workspace_id,
        "status": connection.status,
        "schedule": connection.schedule,
        "nonBreakingSchemaUpdatesBehavior": "ignore",
        "configurations": {"streams": [_stream_body(stream) for stream in connection.streams]},
        "createdAt": int(connection.created_at),
        "tags": [],
        "namespaceDefinition": "destination",
        "prefix": "",
    }


def _stream_body(stream: Stream) -> dict[str, object]:
    return without_nulls(
        {
            "name": stream.name,
            "namespace": stream.namespace,
            "syncMode": "incremental_deduped_history" if stream.cursor else "full_refresh_overwrite",
            "cursorField": [stream.cursor] if stream.cursor else [],
            "primaryKey": [[stream.key]],
            "selectedFields": [{"fieldPath": [name]} for name in stream.fields],
            "mappers": [],
        }
    )


def source_body(source: Actor) -> dict[str, object]:
    """Return the JSON of a source."""
    return _actor_body(source, "source")


def destination_body(destination: Actor) -> dict[str, object]:
    """Return the JSON of a destination."""
    return _actor_body(destination, "destination")


def workspace_body(workspace: Workspace) -> dict[str, object]:
    """Return the JSON of a workspace."""
    return {
        "workspaceId": workspace.workspace_id,
        "name": workspace.name,
        "dataResidency": "auto",
        "notifications": {},
    }


def _actor_body(actor: Actor, role: str) -> dict[str, object]:
    return {
        f"{role}Id": actor.actor_id,
        "name": actor.name,
        f"{role}Type": actor.kind,
        "definitionId": actor.definition_id,
        "workspaceId": actor.workspace_id,
        "configuration": actor.configuration,
        "createdAt": int(actor.created_at),
    }
