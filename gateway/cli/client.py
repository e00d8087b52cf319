"""`gateway client …`: add, list, update, rename, disable, enable and remove clients."""

import click

from gateway import validation
from gateway.cli.options import (
    confirm,
    json_option,
    settings_option,
    slug_argument,
    with_services,
    yes_option,
)
from gateway.cli.output import Row, print_record, print_rows
from gateway.models import Client, RatePolicy
from gateway.services import Services
from gateway.settings import Settings


@click.group()
def client() -> None:
    """Manage clients, your customers."""


def client_row(record: Client) -> Row:
    """Return what listings show of a client, and `--json` prints."""
    return {
        "slug": record.slug,
        "name": record.name,
        "plan": record.plan,
        "rate": validation.rate_text(record.rate),
        "created_at": record.created_at,
        "disabled_at": record.disabled_at,
        "rate_total": validation.rate_text(record.rate_total),
        "most_keys": record.most_keys,
    }


@client.command()
@click.option("--name", required=True, help='Set the name the client reads, for example "Acme Inc".')
@click.option("--slug", required=True, help="Set the short name you use in commands, for example acme.")
@click.option("--plan", default="free", show_default=True, help="Set the plan, in your own words.")
@json_option
@settings_option
def add(*, settings: Settings, name: str, slug: str, plan: str, as_json: bool) -> None:
    """Add a client.

    Example: gateway client add --name "Acme Inc" --slug acme --plan starter
    """
    record = with_services(settings, lambda services: services.clients.add(slug=slug, name=name, plan=plan))
    print_record(client_row(record), as_json=as_json, sentence=f"Added client {record.slug}.")


@client.command("list")
@json_option
@settings_option
def list_clients(*, settings: Settings, as_json: bool) -> None:
    """List clients. What stands in brackets is not a client's own, but the settings'.

    Example: gateway client list --json
    """
    records = with_services(settings, lambda services: services.store.clients.all())
    rows = [client_row(record) if as_json else _in_force(client_row(record), settings) for record in records]
    print_rows(rows, as_json=as_json, empty="No clients yet; see: gateway client add --help")


def _in_force(row: Row, settings: Settings) -> Row:
    """Return the row with the settings' figures, in brackets, where the client has none of its own."""
    figures = {"rate": validation.rate_text(_default_rate(settings)), "most_keys": settings.keys.most_active}
    return {**row, **{name: f"({figure})" for name, figure in figures.items() if row[name] is None}}


def _default_rate(settings: Settings) -> RatePolicy:
    return RatePolicy(settings.rate_limit.requests, settings.rate_limit.per_seconds)


@client.command()
@slug_argument
@click.option("--name", help="Set the name the client reads.")
@click.option("--plan", help="Set the plan, in your own words.")
@click.option(
    "--rate",
    help="Set the rate of each of its keys, REQUESTS/SECONDS such as 600/60. default: the settings' rate.",
)
@click.option(
    "--rate-total",
    help="Set the rate of all its keys together. default: the most keys times their rate, or what its keys have.",
)
@click.option("--most-keys", help="Set how many of its keys may work at once. default: the settings' figure.")
@json_option
@settings_option
def update(
    *,
    settings: Settings,
    slug: str,
    name: str | None,
    plan: str | None,
    rate: str | None,
    rate_total: str | None,
    most_keys: str | None,
    as_json: bool,
) -> None:
    """Change what a client is called and what its keys may do; what is not given stays as it is.

    Example: gateway client update acme --plan pro --rate 600/60 --rate-total 6000/60
    """
    if name is plan is rate is rate_total is most_keys is None:
        raise click.UsageError("tell at least one of --name, --plan, --rate, --rate-total and --most-keys")

    async def work(services: Services) -> Client:
        known = await services.store.clients.by_slug(slug)
        return await services.clients.update(
            slug,
            name=known.name if name is None else name,
            plan=known.plan if plan is None else plan,
            rate=_chosen(rate, validation.rate_text(known.rate)),
            rate_total=_chosen(rate_total, validation.rate_text(known.rate_total)),
            most_keys=_chosen(most_keys, None if known.most_keys is None else str(known.most_keys)),
        )

    record = with_services(settings, work)
    print_record(client_row(record), as_json=as_json, sentence=f"Updated client {record.slug}.")
    each = record.rate or _default_rate(settings)
    if record.rate_total is not None and _is_below(record.rate_total, each):
        click.echo(
            f"Note: {validation.rate_text(record.rate_total)} for all keys together is less than one key may call "
            f"({validation.rate_text(each)}).",
            err=True,
        )


def _is_below(one: RatePolicy, other: RatePolicy) -> bool:
    """Return whether a rate allows fewer calls than another, at once or in the long run."""
    return one.requests < other.requests or one.tokens_per_second < other.tokens_per_second


def _chosen(told: str | None, known: str | None) -> str | None:
    """Return what was told, or else what is known; None for what the settings say."""
    return known if told is None else None if told == "default" else told


@client.command()
@slug_argument
@click.argument("new_slug")
@json_option
@settings_option
def rename(*, settings: Settings, slug: str, new_slug: str, as_json: bool) -> None:
    """Give a client another slug, the short name you use in commands. Its keys and connections live on.

    Example: gateway client rename acme acme-inc
    """
    record = with_services(settings, lambda services: services.clients.rename(slug, new_slug))
    print_record(client_row(record), as_json=as_json, sentence=f"Renamed client {slug} to {record.slug}.")


@client.command()
@slug_argument
@yes_option
@json_option
@settings_option
def disable(*, settings: Settings, slug: str, yes: bool, as_json: bool) -> None:
    """Refuse a client's keys from the next request on, until it is enabled again. Nothing is lost.

    Example: gateway client disable acme
    """

    async def work(services: Services) -> Client:
        record = await services.store.clients.by_slug(slug)
        confirm(f"Refuse all keys of {record.name}?", yes=yes)
        return await services.clients.disable(slug)

    record = with_services(settings, work)
    print_record(client_row(record), as_json=as_json, sentence=f"Disabled client {record.slug}.")


@client.command()
@slug_argument
@json_option
@settings_option
def enable(*, settings: Settings, slug: str, as_json: bool) -> None:
    """Accept a disabled client's keys again.

    Example: gateway client enable acme
    """
    record = with_services(settings, lambda services: services.clients.enable(slug))
    print_record(client_row(record), as_json=as_json, sentence=f"Enabled client {record.slug}.")


@client.command()
@slug_argument
@yes_option
@json_option
@settings_option
def remove(*, settings: Settings, slug: str, yes: bool, as_json: bool) -> None:
    """Remove a client with its connections and keys. Airbyte keeps everything it has.

    Example: gateway client remove acme
    """

    async def work(services: Services) -> Client:
        record = await services.store.clients.by_slug(slug)
        connections = len((await services.store.connections.of_client(record.id)).rows)
        count = len(await services.store.api_keys.of_client(record.id))
        confirm(f"Remove {record.name}, its connections ({connections}) and its keys ({count})?", yes=yes)
        return await services.clients.remove(slug)

    record = with_services(settings, work)
    print_record(client_row(record), as_json=as_json, sentence=f"Removed client {record.slug}.")
