"""gateway export."""

import secrets
from pathlib import Path

import click

from gateway.cli.options import opened_services, run, settings_option
from gateway.errors import Invalid
from gateway.manifest import FORMAT_LINE, Manifests, format_manifest
from gateway.settings import Settings


@click.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False), required=False)
@settings_option
def export(*, settings: Settings, path: Path | None) -> None:
    """Print all clients, connections, users and keys as TOML without secrets, or write it to PATH.

    The order is stable, so that the file can live in version control. A file that an export wrote is replaced.

    Example: gateway export clients.toml
    """

    async def work() -> str:
        async with opened_services(settings) as services:
            return format_manifest(await Manifests(services.store, services.clock, secrets.choice).export())

    text = run(work())
    if path is None:
        click.echo(text, nl=False)
        return
    _write(path, text)
    click.echo(f"Exported to {path}.")


def _write(path: Path, text: str) -> None:
    """Whole or not at all, and never over a file of another kind."""
    part = path.with_name(f".{path.name}.part")
    try:
        if path.exists() and not path.read_bytes().startswith(FORMAT_LINE.encode()):
            raise Invalid(f"{path}: not written by gateway export; nothing was changed")
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise Invalid(f"{path}: cannot be written: {error.strerror}") from None
