"""`gateway export`: write the clients, connections, users and keys as a manifest."""

import os
import secrets
from pathlib import Path

import click
import msgspec

from gateway.cli.options import STANDARD_STREAM, json_option, settings_option, with_services
from gateway.cli.output import print_json
from gateway.errors import InvalidInput
from gateway.provisioning.manifest import FORMAT, FORMAT_LINE, Manifest, Manifests, format_manifest
from gateway.services import Services
from gateway.settings import Settings

PRIVATE = 0o600
"""A manifest tells who the customers are, and the e-mail addresses of their people."""


@click.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), required=False)
@json_option
@settings_option
def export(*, settings: Settings, path: Path | None, as_json: bool) -> None:
    """Print a manifest, all clients, connections, users and keys as TOML without secrets, or write it to PATH.

    The order is stable, so that the file can live in version control. A file that an export wrote is replaced.
    JSON is for other programs: gateway apply reads TOML.

    PATH may be -, for standard output.

    Example: gateway export clients.toml
    """
    if path == STANDARD_STREAM:
        path = None
    if as_json and path is not None:
        raise click.UsageError("--json prints and takes no PATH")

    async def work(services: Services) -> Manifest:
        return await Manifests(
            services.store, services.clock, secrets.choice, require_url=services.webhooks.endpoints.require_allowed
        ).export()

    manifest = with_services(settings, work)
    if as_json:
        print_json({"format": FORMAT, **msgspec.to_builtins(manifest)})
        return
    text = format_manifest(manifest)
    if path is None:
        # TOML is UTF-8 whatever the terminal's encoding is.
        click.echo(text.encode(), nl=False)
        return
    _write(path, text)
    click.echo(f"Exported to {path}.")


def _write(path: Path, text: str) -> None:
    """Write the file whole or not at all, and never over a file of another kind. Raises InvalidInput."""
    part = path.with_name(f".{path.name}.part")
    try:
        if path.exists() and not path.read_bytes().startswith(FORMAT_LINE.encode()):
            raise InvalidInput(f"{path}: not written by gateway export; nothing was changed")
        mode = path.stat().st_mode & 0o777 if path.exists() else PRIVATE
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InvalidInput(f"{path}: cannot be written: {error.strerror}") from None
