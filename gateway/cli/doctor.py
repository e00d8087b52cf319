"""gateway doctor."""

import click
import msgspec

from gateway.cli.options import json_option, opened_services, run, settings_option
from gateway.cli.output import print_json
from gateway.doctor import Finding, examine
from gateway.settings import Settings


@click.command()
@json_option
@settings_option
def doctor(*, settings: Settings, as_json: bool) -> None:
    """Check settings, database and Airbyte, and say what to do. Exit status 1 if something is wrong.

    Example: gateway doctor --settings /etc/gateway/settings.toml
    """

    async def work() -> list[Finding]:
        findings = []
        async with opened_services(settings) as services:
            async for finding in examine(services):
                findings.append(finding)
                if not as_json:
                    _print(finding)
        return findings

    findings = run(work())
    if as_json:
        print_json([msgspec.to_builtins(finding) for finding in findings])
    if not all(finding.ok for finding in findings):
        raise click.exceptions.Exit(1)


def _print(finding: Finding) -> None:
    click.echo(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.check}: {finding.text}")
    if finding.advice:
        click.echo(f"      {finding.advice}")
