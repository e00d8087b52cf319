"""`gateway workspace …`: list the workspaces of Airbyte that the gateway's credential sees."""

import click

from gateway.cli.options import json_option, settings_option, slugs_of, with_services
from gateway.cli.output import Row, print_rows
from gateway.services import Services
from gateway.settings import Settings


@click.group()
def workspace() -> None:
    """Look at Airbyte's workspaces."""


@workspace.command("list")
@json_option
@settings_option
def list_workspaces(*, settings: Settings, as_json: bool) -> None:
    """List Airbyte's workspaces, and the clients that have connections of each.

    Example: gateway workspace list
    """

    async def work(services: Services) -> list[Row]:
        slugs = await slugs_of(services)
        clients: dict[str | None, set[str]] = {}
        for connection in await services.store.connections.all():
            clients.setdefault(connection.workspace_id, set()).add(slugs[connection.client_id])
        return [
            {"id": each.workspace_id, "name": each.name, "clients": sorted(clients.get(each.workspace_id, ()))}
            async for page in services.airbyte.lists.workspace_pages()
            for each in page.rows
        ]

    print_rows(with_services(settings, work), as_json=as_json, empty="Airbyte shows no workspace to this credential.")
