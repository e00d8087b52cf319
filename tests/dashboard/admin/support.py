"""The operator's pages about connections, and the Airbyte that they show."""

from gateway.sandbox.faults import Answer
from tests.support import World

CONNECTIONS = "/dashboard/admin/connections"
OF_CLIENTS = f"{CONNECTIONS}/of-clients"


def workspace(world: World, name: str = "Work") -> str:
    return world.sandbox.world.add_workspace(name).workspace_id


def theirs(world: World, workspace_id: str, name: str, source_type: str = "shopify") -> str:
    return world.sandbox.world.add_connection(workspace_id, source_type, name=name).connection_id


def airbyte_down(world: World, answers: int = 1000) -> None:
    world.sandbox.faults.answer_with(Answer.html(502), times=answers)
