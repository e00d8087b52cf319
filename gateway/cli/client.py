"""gateway client …"""

import click

from gateway.cli.options import (
    confirm,
    json_option,
    opened_services,
    run,
    settings_option,
    yes_option,
)
from gateway.cli.output import Row, print_record, print_rows
from gateway.models import Client
from gateway.settings import Settings


@click.group()
def client() -> None:
    """Clients: your customers."""


def client_row(record: Client) -> Row:
    return {
        "slug": record.slug,
        "name": record.name,
        "plan": record.plan,
        "rate": _rate(record),
        "created_at": record.created_at,
        "disabled_at": record.disabled_at,
    }


def _rate(record: Client) -> str | None:
    rate = record.rate
    return f"{rate.requests}/{rate.per_seconds}" if rate else None


@client.command()
@click.option("--name", required=True, help='The name the client reads, for example "Acme Inc".')
@click.option("--slug", required=True, help="The short name you use in commands, for example acme.")
@click.option("--plan", default="free", show_default=True, help="Free text of yours.")
@json_option
@settings_option
def add(*, settings: Settings, name: str, slug: str, plan: str, as_json: bool) -> None:
    """Add a client.

    Example: gateway client add --name "Acme Inc" --slug acme --plan starter
    """

    async def work() -> Client:
        async with opened_services(settings) as services:
            return await services.clients.add(slug=slug, name=name, plan=plan)

    record = run(work())
    print_record(client_row(record), as_json=as_json, sentence=f"Added client {record.slug}.")


@client.command("list")
@json_option
@settings_option
def list_clients(*, settings: Settings, as_json: bool) -> None:
    """List clients.

    Example: gateway client list --json
    """

    async def work() -> list[Client]:
        async with opened_services(settings) as services:
            return await services.store.clients.all()

    rows = [client_row(record) for record in run(work())]
    print_rows(rows, as_json=as_json, empty="No clients yet; see: gateway client add --help")


@client.command()
@click.argument("slug")
@click.option("--name", help="The name the client reads.")
@click.option("--plan", help="Free text of yours.")
@click.option("--rate", help="REQUESTS/SECONDS for each of its keys, for example 600/60; default for the settings'.")
@json_option
@settings_option
def update(
    *, settings: Settings, slug: str, name: str | None, plan: str | None, rate: str | None, as_json: bool
) -> None:
    """Change what is told, and leave the rest as it is.

    Example: gateway client update acme --plan pro --rate 600/60
    """
    if name is None and plan is None and rate is None:
        raise click.UsageError("tell at least one of --name, --plan and --rate")

    async def work() -> Client:
        async with opened_services(settings) as services:
            known = await services.store.clients.by_slug(slug)
            return await services.clients.update(
                slug,
                name=known.name if name is None else name,
                plan=known.plan if plan is None else plan,
                rate=_rate(known) if rate is None else None if rate == "default" else rate,
            )

    record = run(work())
    print_record(client_row(record), as_json=as_json, sentence=f"Updated client {record.slug}.")


@client.command()
@click.argument("slug")
@yes_option
@json_option
@settings_option
def disable(*, settings: Settings, slug: str, yes: bool, as_json: bool) -> None:
    """Refuse a client's keys from the next request on, until it is enabled again. Nothing is lost.

    Example: gateway client disable acme
    """

    async def work() -> Client:
        async with opened_services(settings) as services:
            record = await services.store.clients.by_slug(slug)
            confirm(f"Refuse all keys of {record.name}?", yes=yes)
            return await services.clients.disable(slug)

    record = run(work())
    print_record(client_row(record), as_json=as_json, sentence=f"Disabled client {record.slug}.")


@client.command()
@click.argument("slug")
@json_option
@settings_option
def enable(*, settings: Settings, slug: str, as_json: bool) -> None:
    """Accept a disabled client's keys again.

    Example: gateway client enable acme
    """

    async def work() -> Client:
        async with opened_services(settings) as services:
            return await services.clients.enable(slug)

    record = run(work())
    print_record(client_row(record), as_json=as_json, sentence=f"Enabled client {record.slug}.")


@client.command()
@click.argument("slug")
@yes_option
@json_option
@settings_option
def remove(*, settings: Settings, slug: str, yes: bool, as_json: bool) -> None:
    """Remove a client with its connections and keys. Airbyte keeps everything it has.

    Example: gateway client remove acme
    """

    async def work() -> Client:
        async with opened_services(settings) as services:
            record = await services.store.clients.by_slug(slug)
            connections = len((await services.store.connections.of_client(record.id)).rows)
            count = len(await services.store.api_keys.of_client(record.id))
            confirm(f"Remove {record.name}, its connections ({connections}) and its keys ({count})?", yes=yes)
            return await services.clients.remove(slug)

    record = run(work())
    print_record(client_row(record), as_json=as_json, sentence=f"Removed client {record.slug}.")
