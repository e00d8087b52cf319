"""The routes for what stands around the workspaces: organizations, users, permissions, tags, streams of a source."""

from itertools import chain

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.sandbox.faults import Faults
from gateway.sandbox.query import read_ids
from gateway.sandbox.records import Stream, Tag
from gateway.sandbox.refusals import Hal, Opaque, bad_request, forbidden, not_found
from gateway.sandbox.wire import json_answer, parse_uuid, without_nulls
from gateway.sandbox.world import World

# Community has one organization and one user, and both have this id.
COMMUNITY_ID = "00000000-0000-0000-0000-000000000000"
PERMISSION_ID = "00000000-0000-4000-8000-000000000001"
ADMIN_EMAIL = "admin@operator.example"


class Organization:
    """Serves the one organization of Community, with its one user, who may do everything."""

    def __init__(self, *, world: World, faults: Faults) -> None:
        self.world = world
        self.faults = faults

    def routes(self) -> list[Route]:
        """Return the routes of what belongs to the whole of an Airbyte."""
        return [
            Route("/organizations", self.organizations),
            Route("/users", self.users),
            Route("/permissions", self.permissions),
            Route("/tags", self.tags),
            Route("/tags/{id}", self.tag),
            Route("/streams", self.streams),
        ]

    async def organizations(self, _: Request) -> Response:
        """Answer with the one organization of a Community edition."""
        row = {"organizationId": COMMUNITY_ID, "organizationName": "Default Organization", "email": ADMIN_EMAIL}
        return json_answer({"data": [row]})

    async def users(self, request: Request) -> Response:
        """Answer with the one user of a Community edition. Raises Refusal."""
        if _required_id(request, "organizationId") != COMMUNITY_ID:
            raise forbidden("ORGANIZATION_MEMBER")
        ids = read_ids(request.query_params, "ids")
        emails = request.query_params.getlist("emails")
        is_asked_for = (not ids or COMMUNITY_ID in ids) and (not emails or ADMIN_EMAIL in emails)
        return json_answer(
            {"data": [{"id": COMMUNITY_ID, "name": "Admin", "email": ADMIN_EMAIL}] if is_asked_for else []}
        )

    async def permissions(self, request: Request) -> Response:
        """Answer the user's own permissions; `organizationId` matters only for another user's."""
        user_id = request.query_params.get("userId", COMMUNITY_ID)
        if user_id != COMMUNITY_ID:
            if "organizationId" not in request.query_params:
                raise bad_request("Organization ID is required when getting someone else's permissions.")
            return json_answer({"data": []})
        row = {
            "permissionId": PERMISSION_ID,
            "permissionType": "instance_admin",
            "userId": COMMUNITY_ID,
            "scope": "none",
            "scopeId": COMMUNITY_ID,
        }
        return json_answer({"data": [row]})

    async def tags(self, request: Request) -> Response:
        """Answer with the tags of the workspaces. Raises Refusal."""
        workspace_ids = read_ids(request.query_params, "workspaceIds")
        if self.faults.user_mode and not self.world.workspaces.keys() >= set(workspace_ids):
            raise forbidden()
        rows = [tag for tag in self.world.tags.values() if not workspace_ids or tag.workspace_id in workspace_ids]
        return json_answer({"data": [tag_body(tag) for tag in rows]})

    async def tag(self, request: Request) -> Response:
        """Answer with one tag. Raises Refusal."""
        tag_id = parse_uuid(request.path_params["id"])
        if tag_id is None:
            raise Hal(400, f"Failed to convert argument [tagId] for value [{request.path_params['id']}]")
        if tag_id not in self.world.tags:
            raise not_found("TAG", tag_id)
        return json_answer(tag_body(self.world.tags[tag_id]))

    async def streams(self, request: Request) -> Response:
        """Answer the streams of a source; the modes only if a destination says which it can do."""
        source_id = _required_id(request, "sourceId")
        if source_id not in self.world.sources:
            raise forbidden() if self.faults.user_mode else not_found("source", source_id)
        has_destination = "destinationId" in request.query_params
        readers = (row for row in self.world.connections.values() if row.source_id == source_id)
        streams = chain.from_iterable(row.streams for row in readers)
        return json_answer([stream_body(stream, has_modes=has_destination) for stream in streams])


def tag_body(tag: Tag) -> dict[str, object]:
    """Return the JSON of a tag."""
    return {"tagId": tag.tag_id, "name": tag.name, "color": tag.color, "workspaceId": tag.workspace_id}


def stream_body(stream: Stream, *, has_modes: bool) -> dict[str, object]:
    """Return the JSON of a stream, with its sync modes if those are known."""
    modes = ["full_refresh_append", "full_refresh_overwrite"]
    if stream.cursor:
        modes += ["incremental_append", "incremental_deduped_history"]
    return without_nulls(
        {
            "streamName": stream.name,
            "syncModes": modes if has_modes else None,
            "streamnamespace": stream.namespace,
            "defaultCursorField": [stream.cursor] if stream.cursor else [],
            "sourceDefinedCursorField": stream.cursor is not None,
            "sourceDefinedPrimaryKey": [[stream.key]],
            "propertyFields": [[name] for name in stream.fields],
        }
    )


def _required_id(request: Request, name: str) -> str:
    text = request.query_params.get(name)
    if text is None:
        raise Hal(400, f"Required QueryValue [{name}] not specified")
    identifier = parse_uuid(text)
    if identifier is None:
        raise Opaque(500)
    return identifier
