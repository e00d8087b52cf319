"""`gateway apply`: make the database match a manifest."""

import secrets
import sys
from pathlib import Path

import click

from gateway.cli.options import STANDARD_STREAM, confirm, json_option, settings_option, with_services, yes_option
from gateway.cli.output import print_json
from gateway.cli.progress import progress_shown
from gateway.provisioning.manifest import (
    Manifest,
    Manifests,
    Plan,
    check_mappings,
    parse_manifest,
    parse_manifest_bytes,
)
from gateway.services import Services
from gateway.settings import Settings


@click.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--prune", is_flag=True, help="Remove what is not in the file, and revoke such keys. Default: keep it.")
@click.option("--dry-run", is_flag=True, help="Only print what would change.")
@yes_option
@json_option
@settings_option
def apply(*, settings: Settings, path: Path, prune: bool, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Make the database match the manifest PATH, which gateway export wrote. Print what will change, and ask.

    No key is created or allowed more than it has. New mappings are checked with Airbyte; while it cannot be asked,
    that is a note and they are made unchecked.

    PATH may be -, for standard input; then the question cannot be answered there: give --yes or --dry-run.

    Example: gateway apply clients.toml --dry-run
    """
    if path == STANDARD_STREAM and not (yes or dry_run):
        raise click.UsageError("apply - needs --yes or --dry-run")
    file = _read(path)

    async def work(services: Services) -> Plan:
        manifests = Manifests(
            services.store, services.clock, secrets.choice, require_url=services.webhooks.endpoints.require_allowed
        )
        plan = await manifests.plan(file, prune=prune)
        with progress_shown() as progress:
            plan.notes.extend(await check_mappings(services.airbyte, file, plan, progress=progress))
        if not as_json:
            _print(plan)
        if plan.changes and not dry_run:
            confirm(f"Make these changes ({len(plan.changes)}) to {settings.database_location}?", yes=yes)
            with progress_shown() as progress:
                await manifests.apply(file, plan, prune=prune, progress=progress)
        return plan

    plan = with_services(settings, work)
    applied = bool(plan.changes) and not dry_run
    if as_json:
        lines = [change.line for change in plan.changes]
        print_json({"changes": lines, "kept": plan.kept, "notes": plan.notes, "applied": applied})
    else:
        click.echo(_sentence(plan, dry_run=dry_run))


def _read(path: Path) -> Manifest:
    if path == STANDARD_STREAM:
        return parse_manifest_bytes(sys.stdin.buffer.read(), "standard input")
    return parse_manifest(path)


def _print(plan: Plan) -> None:
    for change in plan.changes:
        click.echo(change.line)
    for line in plan.kept:
        click.echo(f"= {line}: not in the file, kept; --prune removes it")
    for note in plan.notes:
        click.echo(f"! {note}")


def _sentence(plan: Plan, *, dry_run: bool) -> str:
    if not plan.changes:
        return "Nothing to change."
    return f"Would change {len(plan.changes)}." if dry_run else f"Changed {len(plan.changes)}."
