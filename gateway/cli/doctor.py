"""`gateway doctor`: check the installation and say what to do about each finding."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

import click
import msgspec

from gateway.cli.options import json_option, opened_services, run, settings_option, unit_folder
from gateway.cli.output import print_json
from gateway.deployment.installed import find_installed
from gateway.doctor import Finding, run_checks
from gateway.errors import DatabaseRefused
from gateway.services import Services, build_services
from gateway.settings import Settings
from gateway.times import SystemClock

LEVEL_WORDS = {"ok": "ok", "warn": "warn", "fail": "FAIL"}
LEVEL_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
INDENT = " " * 6


@click.command()
@json_option
@settings_option
def doctor(*, settings: Settings, as_json: bool) -> None:
    """Check settings, files, database, public address and Airbyte, and say what to do.

    Takes half a minute at most. Exit status 1 if something is wrong; a warning is not.

    Example: gateway doctor --settings /etc/gateway/settings.toml
    """
    address = _socket_address(settings)

    async def work() -> list[Finding]:
        findings = []
        async with (
            _services(settings) as (services, refusal),
            aclosing(run_checks(services, refusal=refusal, socket_address=address)) as found,
        ):
            async for finding in found:
                findings.append(finding)
                if not as_json:
                    _print(finding)
        return findings

    findings = run(work())
    if as_json:
        print_json([msgspec.to_builtins(finding) for finding in findings])
    if any(finding.level == "fail" for finding in findings):
        raise click.exceptions.Exit(1)


def _socket_address(settings: Settings) -> str:
    """Return where systemd listens for the service with these settings; empty if it does not."""
    unit = find_installed(unit_folder())
    return unit.listen if unit is not None and unit.settings.resolve().parent == settings.folder else ""


@asynccontextmanager
async def _services(settings: Settings) -> AsyncIterator[tuple[Services, DatabaseRefused | None]]:
    """Open the services; if the database is refused, pass the refusal and what works without a database."""
    async with AsyncExitStack() as stack:
        try:
            services = await stack.enter_async_context(opened_services(settings))
        except DatabaseRefused as error:
            refusal = error
        else:
            yield services, None
            return
        services = build_services(settings, SystemClock())
        stack.push_async_callback(services.airbyte.close)
        yield services, refusal


def _print(finding: Finding) -> None:
    level = click.style(f"{LEVEL_WORDS[finding.level]:6}", fg=LEVEL_COLOURS[finding.level])
    click.echo(f"{level}{finding.check}: {finding.text}")
    if finding.advice:
        click.echo(INDENT + finding.advice)
