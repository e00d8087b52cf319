"""`gateway connection …`: give clients Airbyte's connections, list, rename, map, move, import and remove them."""

import sys
from collections.abc import Sequence

import click

from gateway.cli.listing import listed
from gateway.cli.options import (
    client_option,
    confirm,
    id_argument,
    json_option,
    only_client_option,
    settings_option,
    slugs_of,
    with_services,
    yes_option,
)
from gateway.cli.output import Row, print_json, print_record, print_rows
from gateway.cli.progress import progress_shown
from gateway.models import Connection
from gateway.provisioning.connections import Imported
from gateway.provisioning.mapping import Mapped
from gateway.services import Services
from gateway.settings import Settings
from gateway.store import Store


@click.group()
def connection() -> None:
    """Manage connections of clients, mapped to Airbyte's."""


def connection_row(record: Connection, slug: str | None) -> Row:
    """Return a connection as commands show it."""
    return {
        "id": record.id,
        "client": slug,
        "connector_type": record.connector_type,
        "label": record.label,
        "status": record.status,
        "airbyte_id": record.airbyte_id,
        "last_sync_at": record.last_sync_at,
        "last_sync_status": record.last_sync_status,
        "created_at": record.created_at,
    }


def _warn(mapped: Mapped) -> None:
    if mapped.warning is not None:
        click.echo(f"Warning: {mapped.warning}", err=True)


@connection.command()
@client_option
@click.option("--connector-type", required=True, help="Set the type the client reads, for example shopify.")
@click.option("--label", required=True, help="Set the label the client reads.")
@click.option("--airbyte-id", help="Map to this Airbyte connection, by its UUID. Default: map it later.")
@json_option
@settings_option
def add(
    *, settings: Settings, slug: str, connector_type: str, label: str, airbyte_id: str | None, as_json: bool
) -> None:
    """Add a connection to a client.

    Example: gateway connection add --client acme --connector-type shopify --label "Web shop"
    """
    new = with_services(
        settings,
        lambda services: services.connections.add(
            slug, connector_type=connector_type, label=label, airbyte_id=airbyte_id
        ),
    )
    _warn(new)
    row = connection_row(new.connection, slug)
    print_record(row, as_json=as_json, sentence=f"Added connection {row['id']}.")


@connection.command("list")
@only_client_option
@json_option
@settings_option
def list_connections(*, settings: Settings, slug: str | None, as_json: bool) -> None:
    """List connections.

    Example: gateway connection list --client acme
    """

    async def of_client(store: Store, client_id: int) -> Sequence[Connection]:
        return (await store.connections.of_client(client_id)).rows

    rows = listed(settings, slug, of_client=of_client, of_all=lambda store: store.connections.all(), row=connection_row)
    print_rows(rows, as_json=as_json, empty="No connections yet; see: gateway connection add --help")


@connection.command("map")
@id_argument("connection_id")
@click.option("--airbyte-id", required=True, help="Map to this Airbyte connection, by its UUID.")
@json_option
@settings_option
def map_connection(*, settings: Settings, connection_id: str, airbyte_id: str, as_json: bool) -> None:
    """Point a connection at an Airbyte connection.

    Example: gateway connection map conn_8sQd0fWq2LzR5tYx --airbyte-id 9924bcd0-99be-453d-ba47-c2c9766f7da5
    """

    async def work(services: Services) -> tuple[Mapped, str]:
        mapped = await services.connections.map(connection_id, airbyte_id)
        return mapped, (await slugs_of(services))[mapped.connection.client_id]

    mapped, slug = with_services(settings, work)
    _warn(mapped)
    row = connection_row(mapped.connection, slug)
    print_record(row, as_json=as_json, sentence=f"Mapped {row['id']} to {row['airbyte_id']}.")


@connection.command()
@id_argument("connection_id")
@click.option("--label", required=True, help="Set the label the client reads from now on.")
@json_option
@settings_option
def rename(*, settings: Settings, connection_id: str, label: str, as_json: bool) -> None:
    """Give a connection another label. Its id stays.

    Example: gateway connection rename conn_8sQd0fWq2LzR5tYx --label "Web shop"
    """

    async def work(services: Services) -> Row:
        record = await services.connections.rename(connection_id, label=label)
        return connection_row(record, (await slugs_of(services))[record.client_id])

    row = with_services(settings, work)
    print_record(row, as_json=as_json, sentence=f"Renamed {row['id']} to {row['label']}.")


@connection.command()
@id_argument("connection_id")
@click.option("--to", "slug", required=True, metavar="SLUG", help="Give it to this client, by its slug.")
@click.option("--new-id", "gives_new_id", is_flag=True, help="Give it a new id. Default: it keeps its own.")
@yes_option
@json_option
@settings_option
def move(*, settings: Settings, connection_id: str, slug: str, gives_new_id: bool, yes: bool, as_json: bool) -> None:
    """Give a connection to another client. The client it belonged to gets 404 for it from the next request on.

    The new client sees its whole history in Airbyte. Who started what so far stays with the former client.

    Example: gateway connection move conn_8sQd0fWq2LzR5tYx --to globex
    """

    async def work(services: Services) -> Row:
        record = await services.store.connections.any_by_id(connection_id)
        former = (await slugs_of(services))[record.client_id]
        confirm(f"Move {record.label} ({record.id}) from {former} to {slug}, with its history?", yes=yes)
        return connection_row(await services.connections.move(record.id, slug, gives_new_id=gives_new_id), slug)

    row = with_services(settings, work)
    print_record(row, as_json=as_json, sentence=f"Moved connection {row['id']} to {slug}.")


@connection.command()
@id_argument("connection_id")
@yes_option
@json_option
@settings_option
def remove(*, settings: Settings, connection_id: str, yes: bool, as_json: bool) -> None:
    """Remove a connection from its client. Airbyte keeps the connection and its syncs.

    Example: gateway connection remove conn_8sQd0fWq2LzR5tYx
    """

    async def work(services: Services) -> Row:
        record = await services.store.connections.any_by_id(connection_id)
        slug = (await slugs_of(services))[record.client_id]
        confirm(f"Remove {record.label} ({record.id}) from {slug}?", yes=yes)
        return connection_row(await services.connections.remove(record.id), slug)

    row = with_services(settings, work)
    print_record(row, as_json=as_json, sentence=f"Removed connection {row['id']}.")


def _print_imported(each: Imported) -> None:
    if each.connection is not None:
        label = f"{each.connection.connector_type}  {each.connection.label}"
        click.echo(f"imported {each.connection.id}  {label}", err=True)
    else:
        click.echo(f"skipped  {each.airbyte_id}: already mapped", err=True)


@connection.command("import")
@client_option
@click.option("--workspace", required=True, help="Import from this Airbyte workspace, by its UUID.")
@json_option
@settings_option
def import_connections(*, settings: Settings, slug: str, workspace: str, as_json: bool) -> None:
    """Add a connection for each one in an Airbyte workspace that is not mapped yet.

    Example: gateway connection import --client acme --workspace 18dccc91-0ab1-4f72-9ed7-0b8fc27c5826
    """

    async def work(services: Services) -> list[Imported]:
        done = []
        with progress_shown() as progress:
            async for each in services.connections.import_workspace(slug, workspace):
                done.append(each)
                progress("Importing", len(done), 0)
                if not sys.stderr.isatty():
                    _print_imported(each)
        return done

    done = with_services(settings, work)
    if not done:
        click.echo(f"Airbyte shows no connection in workspace {workspace}.", err=True)
    imported = [connection_row(each.connection, slug) for each in done if each.connection is not None]
    skipped = [each.airbyte_id for each in done if each.connection is None]
    if as_json:
        print_json({"imported": imported, "skipped": skipped})
    else:
        click.echo(f"Imported {len(imported)}, skipped {len(skipped)} already mapped.")
