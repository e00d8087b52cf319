"""Airbyte's live list on the operator's pages: the workspaces, and the connections of the chosen one."""

from collections.abc import Callable, Sequence

import msgspec
from starlette.requests import Request

from gateway.provisioning.discovery import Listing, UpstreamConnection, UpstreamWorkspace
from gateway.services import services_of


class Upstream(msgspec.Struct, frozen=True):
    """`chosen` is a workspace's id; empty, with `connections` None, while no workspace is known."""

    workspaces: Listing[UpstreamWorkspace]
    chosen: str
    connections: Listing[UpstreamConnection] | None


async def read_upstream(
    request: Request, usual_of: Callable[[Sequence[UpstreamWorkspace]], str | None] = lambda _: None
) -> Upstream:
    """Read the workspace in the address, else the one whose id `usual_of` returns, else the first."""
    discovery = services_of(request).discovery
    again = "again" in request.query_params
    workspaces = await discovery.workspaces(force=again)
    known = [workspace.id for workspace in workspaces.rows]
    wanted = (request.query_params.get("workspace"), usual_of(workspaces.rows), *known)
    chosen = next((each for each in wanted if each in known), None)
    if chosen is None:
        return Upstream(workspaces, "", None)
    return Upstream(workspaces, chosen, await discovery.connections(chosen, force=again))
