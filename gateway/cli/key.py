"""`gateway key …`: create, list, rotate and revoke API keys, and say what a scanner finds them by."""

from typing import Literal

import click

from gateway import validation
from gateway.auth import keys
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
from gateway.cli.output import Row, print_json, print_record, print_rows, require_output
from gateway.deployment.secret_scanning import github_pattern, gitleaks_rules
from gateway.errors import InvalidInput, OperatorError, UnknownRecord
from gateway.models import SCOPES, ApiKey, Scope
from gateway.provisioning.keys import NewKey
from gateway.services import Services
from gateway.settings import Settings
from gateway.times import SystemClock


@click.group()
def key() -> None:
    """Manage API keys of clients."""


def key_row(record: ApiKey, slug: str | None) -> Row:
    """Return a key as commands show it."""
    return {
        "id": record.id,
        "client": slug,
        "start": record.start,
        "name": record.name,
        "scope": record.scope,
        "rate": validation.rate_text(record.rate),
        "created_at": record.created_at,
        "expires_at": record.expires_at,
        "revoked_at": record.revoked_at,
        "last_used_at": record.last_used_at,
        "last_used_address": record.last_used_address,
        "last_used_agent": record.last_used_agent,
    }


def _show_new(settings: Settings, new: NewKey, slug: str, *, as_json: bool) -> None:
    """Print the new key, or revoke it: one that nobody has seen is of no use to anybody. Raises OperatorError."""
    try:
        _print_new(new, slug, as_json=as_json)
    except OSError as error:
        with_services(settings, lambda services: services.keys.revoke(new.record.id))
        raise OperatorError(
            f"the key cannot be shown ({error.strerror}), so {new.record.id} was revoked; "
            "make another with: gateway key create"
        ) from None


def _print_new(new: NewKey, slug: str, *, as_json: bool) -> None:
    """Print the key alone on stdout, so that it can be piped into a secret store."""
    if as_json:
        row = key_row(new.record, slug)
        print_json({"id": row["id"], "key": new.text, **row})
    else:
        click.echo(new.text)
        click.echo(f"This is {new.record.id}. The key is shown only now: keep it safe.", err=True)


@key.command()
@client_option
@click.option("--name", required=True, help="Say what the key is for.")
@click.option(
    "--scope",
    type=click.Choice(SCOPES),
    default="full",
    show_default=True,
    help="full: read and start syncs. read: only read.",
)
@click.option("--expires", help="End the key: after 90d or 24h, at 2030-01-31 or 2030-01-31T12:00:00Z. Default: never.")
@click.option("--rate", help="Set the rate of this key, REQUESTS/SECONDS such as 600/60. Default: its client's rate.")
@json_option
@settings_option
def create(
    *,
    settings: Settings,
    slug: str,
    name: str,
    scope: Scope,
    expires: str | None,
    rate: str | None,
    as_json: bool,
) -> None:
    """Create a key and print it, once.

    Example: gateway key create --client acme --name "nightly report" --scope read --expires 90d
    """
    require_output()
    new = with_services(
        settings, lambda services: services.keys.create(slug, name=name, scope=scope, expires=expires, rate=rate)
    )
    _show_new(settings, new, slug, as_json=as_json)


@key.command("list")
@only_client_option
@json_option
@settings_option
def list_keys(*, settings: Settings, slug: str | None, as_json: bool) -> None:
    """List keys: their first characters, never the keys themselves, and who used each last.

    A key that works, but was neither made nor called in the last 14 days, is safe to retire.

    Example: gateway key list --client acme
    """
    now = SystemClock().now()
    rows = listed(
        settings,
        slug,
        of_client=lambda store, client_id: store.api_keys.of_client(client_id),
        of_all=lambda store: store.api_keys.all(),
        row=lambda record, owner: {**key_row(record, owner), "safe_to_retire": keys.is_safe_to_retire(record, now)},
    )
    print_rows(rows, as_json=as_json, empty="No keys yet; see: gateway key create --help")


async def _find(services: Services, text: str) -> ApiKey:
    """Return the key that `text` is or names. Raises UnknownRecord, and InvalidInput if there are several."""
    search = services.store.key_search
    if keys.is_well_formed(text):
        found = await search.by_digest(keys.digest(text))
    elif text.startswith(keys.PREFIX):
        found = await search.by_start(keys.display_start(text))
    else:
        return await services.store.api_keys.any_by_id(text)
    if not found:
        raise UnknownRecord(f"there is no key {keys.display_start(text)}; see: gateway key list")
    if len(found) > 1:
        raise InvalidInput(f"several keys start so: {', '.join(key.id for key in found)}; give the id of one")
    return found[0]


@key.command()
@click.argument("text", metavar="KEY")
@yes_option
@json_option
@settings_option
def revoke(*, settings: Settings, text: str, yes: bool, as_json: bool) -> None:
    """Revoke a key. The next request with it is refused.

    KEY is its id, its first characters as gateway key list shows them, or all of it.

    Example: gateway key revoke key_8sQd0fWq2LzR5tYx
    """

    async def work(services: Services) -> Row:
        record = await _find(services, text)
        slug = (await slugs_of(services))[record.client_id]
        confirm(f"Revoke {record.start} ({record.name}) of {slug}?", yes=yes)
        return key_row(await services.keys.revoke(record.id), slug)

    row = with_services(settings, work)
    print_record(row, as_json=as_json, sentence=f"Revoked {row['id']}.")


@key.command()
@id_argument("key_id")
@click.option("--overlap", default="24h", show_default=True, help="How long the old key keeps working. 0s: end it now.")
@json_option
@settings_option
def rotate(*, settings: Settings, key_id: str, overlap: str, as_json: bool) -> None:
    """Create a successor of a key and end the old one after an overlap.

    Example: gateway key rotate key_8sQd0fWq2LzR5tYx --overlap 7d
    """

    async def work(services: Services) -> tuple[NewKey, ApiKey, str]:
        new = await services.keys.rotate(key_id, overlap=overlap)
        old = await services.store.api_keys.any_by_id(key_id)
        return new, old, (await slugs_of(services))[new.record.client_id]

    require_output()
    new, old, slug = with_services(settings, work)
    _show_new(settings, new, slug, as_json=as_json)
    if not as_json:
        click.echo(f"The old key, {old.id}, ends at {old.expires_at}.", err=True)


@key.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["regex", "gitleaks", "github"]),
    default="regex",
    show_default=True,
    help="Print the expression alone, a rule file for gitleaks, or the fields of a custom pattern on GitHub.",
)
def pattern(*, form: Literal["regex", "gitleaks", "github"]) -> None:
    """Print what a secret scanner needs to find leaked keys.

    Example: gateway key pattern --format gitleaks > .gitleaks.toml
    """
    if form == "gitleaks":
        click.echo(gitleaks_rules(), nl=False)
    elif form == "github":
        fields = github_pattern()
        width = max(map(len, fields))
        for name, text in fields.items():
            click.echo(f"{name.ljust(width)}  {text}")
    else:
        click.echo(keys.TEXT_PATTERN)
