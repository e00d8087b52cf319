"""gateway connection …"""

import click

from gateway.cli.options import (
    confirm,
    json_option,
    opened_services,
    run,
    settings_option,
    yes_option,
)
from gateway.cli.output import Row, print_json, print_record, print_rows
from gateway.models import Connection
from gateway.provisioning.connections import Imported
from gateway.provisioning.mapping import Mapped
from gateway.settings import Settings


@click.group()
def connection() -> None:
    """Connections of clients, mapped to Airbyte's."""


def connection_row(record: Connection, slug: str) -> Row:
    return {
        "id": record.id,
        "client": slug,
        "connector_type": record.connector_type,
        "label": record.label,
        "status": record.status,
        "airbyte_id": record.airbyte_id,
        "last_sync_at": record.last_sync_at,
        "created_at": record.created_at,
    }


def _warn(warning: str | None) -> None:
    if warning is not None:
        click.echo(f"Warning: {warning}", err=True)


@connection.command()
@click.option("--client", "slug", required=True, help="The client's slug.")
@click.option("--connector-type", required=True, help="For example shopify.")
@click.option("--label", required=True, help="What the client reads.")
@click.option("--airbyte-id", help="The UUID of the Airbyte connection. Can be mapped later.")
@json_option
@settings_option
def add(
    *, settings: Settings, slug: str, connector_type: str, label: str, airbyte_id: str | None, as_json: bool
) -> None:
    """Add a connection to a client.

    Example: gateway connection add --client acme --connector-type shopify --label "Web shop"
    --airbyte-id 9924bcd0-99be-453d-ba47-c2c9766f7da5
    """

    async def work() -> Mapped:
        async with opened_services(settings) as services:
            return await services.connections.add(
                slug, connector_type=connector_type, label=label, airbyte_id=airbyte_id
            )

    new = run(work())
    _warn(new.warning)
    row = connection_row(new.connection, slug)
    print_record(row, as_json=as_json, sentence=f"Added connection {row['id']}.")


@connection.command("list")
@click.option("--client", "slug", help="Only this client's.")
@json_option
@settings_option
def list_connections(*, settings: Settings, slug: str | None, as_json: bool) -> None:
    """List connections.

    Example: gateway connection list --client acme
    """

    async def work() -> list[Row]:
        async with opened_services(settings) as services:
            store = services.store
            if slug is not None:
                client = await store.clients.by_slug(slug)
                return [connection_row(row, slug) for row in (await store.connections.of_client(client.id)).rows]
            slugs = {client.id: client.slug for client in await store.clients.all()}
            return [connection_row(row, slugs[row.client_id]) for row in await store.connections.all()]

    print_rows(run(work()), as_json=as_json, empty="No connections yet; see: gateway connection add --help")


@connection.command("map")
@click.argument("connection_id", metavar="ID")
@click.option("--airbyte-id", required=True, help="The UUID of the Airbyte connection.")
@json_option
@settings_option
def map_connection(*, settings: Settings, connection_id: str, airbyte_id: str, as_json: bool) -> None:
    """Point a connection at an Airbyte connection.

    Example: gateway connection map conn_8sQd0fWq2LzR5tYx --airbyte-id 9924bcd0-99be-453d-ba47-c2c9766f7da5
    """

    async def work() -> tuple[Row, str | None]:
        async with opened_services(settings) as services:
            mapped = await services.connections.map(connection_id, airbyte_id)
            slugs = {client.id: client.slug for client in await services.store.clients.all()}
            return connection_row(mapped.connection, slugs[mapped.connection.client_id]), mapped.warning

    row, warning = run(work())
    _warn(warning)
    print_record(row, as_json=as_json, sentence=f"Mapped {row['id']} to {row['airbyte_id']}.")


@connection.command()
@click.argument("connection_id", metavar="ID")
@click.option("--label", required=True, help="What the client calls it from now on.")
@json_option
@settings_option
def rename(*, settings: Settings, connection_id: str, label: str, as_json: bool) -> None:
    """Give a connection another label. Its id stays.

    Example: gateway connection rename conn_8sQd0fWq2LzR5tYx --label "Web shop"
    """

    async def work() -> Row:
        async with opened_services(settings) as services:
            record = await services.connections.rename(connection_id, label=label)
            slugs = {client.id: client.slug for client in await services.store.clients.all()}
            return connection_row(record, slugs[record.client_id])

    row = run(work())
    print_record(row, as_json=as_json, sentence=f"Renamed {row['id']} to {row['label']}.")


@connection.command()
@click.argument("connection_id", metavar="ID")
@yes_option
@json_option
@settings_option
def remove(*, settings: Settings, connection_id: str, yes: bool, as_json: bool) -> None:
    """Remove a connection from its client. Airbyte keeps the connection and its syncs.

    Example: gateway connection remove conn_8sQd0fWq2LzR5tYx
    """

    async def work() -> Row:
        async with opened_services(settings) as services:
            store = services.store
            record = await store.connections.any_by_id(connection_id)
            slugs = {client.id: client.slug for client in await store.clients.all()}
            slug = slugs[record.client_id]
            confirm(f"Remove {record.label} ({record.id}) from {slug}?", yes=yes)
            return connection_row(await services.connections.remove(record.id), slug)

    row = run(work())
    print_record(row, as_json=as_json, sentence=f"Removed connection {row['id']}.")


@connection.command("import")
@click.option("--client", "slug", required=True, help="The client's slug.")
@click.option("--workspace", required=True, help="The UUID of the Airbyte workspace.")
@json_option
@settings_option
def import_connections(*, settings: Settings, slug: str, workspace: str, as_json: bool) -> None:
    """Make a connection of each one in an Airbyte workspace that is not mapped to anyone yet.

    Example: gateway connection import --client acme --workspace 18dccc91-0ab1-4f72-9ed7-0b8fc27c5826
    """

    async def work() -> list[Imported]:
        done = []
        async with opened_services(settings) as services:
            async for each in services.connections.import_workspace(slug, workspace):
                done.append(each)
                if each.connection is not None:
                    label = f"{each.connection.connector_type}  {each.connection.label}"
                    click.echo(f"imported {each.connection.id}  {label}", err=True)
                else:
                    click.echo(f"skipped  {each.airbyte_id}: already mapped", err=True)
        return done

    done = run(work())
    if not done:
        click.echo(f"Airbyte shows no connection in workspace {workspace}: is it the right one?", err=True)
    imported = [connection_row(each.connection, slug) for each in done if each.connection is not None]
    skipped = [each.airbyte_id for each in done if each.connection is None]
    if as_json:
        print_json({"imported": imported, "skipped": skipped})
    else:
        click.echo(f"Imported {len(imported)}, skipped {len(skipped)} already mapped.")
