"""GET …/workspaces: each client has one, which holds all that is the client's, wherever Airbyte has it."""

from starlette.requests import Request

from gateway.airbyte_compat.paging import asks_for_workspace, cut, list_answer
from gateway.airbyte_compat.virtual_ids import VirtualIds, virtual_ids_of
from gateway.api.principal import principal_of
from gateway.errors import WorkspaceNotFound
from gateway.models import Client
from gateway.web.responses import JSONAnswer


async def list_workspaces(request: Request) -> JSONAnswer:
    """Answer with the one workspace. Raises BadRequest."""
    ids = await virtual_ids_of(request)
    is_asked_for = asks_for_workspace(request.query_params, ids.workspace)
    rows = [_workspace_content(ids, principal_of(request).client)] if is_asked_for else []
    return list_answer(*cut(request, "workspaces", rows))


async def show_workspace(request: Request) -> JSONAnswer:
    """Answer with the workspace. Raises WorkspaceNotFound."""
    ids = await virtual_ids_of(request)
    if request.path_params["id"].lower() != ids.workspace:
        raise WorkspaceNotFound
    return JSONAnswer(_workspace_content(ids, principal_of(request).client))


def _workspace_content(ids: VirtualIds, client: Client) -> dict[str, object]:
    return {"workspaceId": ids.workspace, "name": client.name, "dataResidency": "auto", "notifications": {}}
