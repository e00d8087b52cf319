"""`gateway nginx-config`: print the nginx configuration that goes with the settings."""

import click

from gateway.cli.options import settings_option
from gateway.deployment.nginx import (
    Tls,
    checked_gateway,
    checked_name,
    checked_path,
    checked_resolver,
    missing_settings,
)
from gateway.deployment.nginx import nginx_config as config_text
from gateway.errors import InvalidInput
from gateway.settings import Settings


def _name(_context: click.Context, _option: click.Parameter, name: str) -> str:
    try:
        return checked_name(name)
    except InvalidInput as error:
        raise click.BadParameter(str(error)) from None


def _tls(_context: click.Context, _option: click.Parameter, paths: tuple[str, str] | None) -> Tls | None:
    try:
        return Tls(*map(checked_path, paths)) if paths else None
    except InvalidInput as error:
        raise click.BadParameter(str(error)) from None


def _gateways(_context: click.Context, _option: click.Parameter, addresses: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(map(checked_gateway, addresses))
    except InvalidInput as error:
        raise click.BadParameter(str(error)) from None


def _resolver(_context: click.Context, _option: click.Parameter, address: str) -> str:
    try:
        return address and checked_resolver(address)
    except InvalidInput as error:
        raise click.BadParameter(str(error)) from None


@click.command("nginx-config")
@click.option("--server-name", "name", required=True, callback=_name, help="What callers type: the only Host served.")
@click.option(
    "--tls",
    nargs=2,
    metavar="CERTIFICATE KEY",
    callback=_tls,
    help="Paths of the certificate, with its chain, and of its key. Without it: no encryption.",
)
@click.option(
    "--upstream",
    "gateways",
    multiple=True,
    metavar="HOST:PORT",
    callback=_gateways,
    help="Where a gateway listens; once for each of several. Without it: where these settings have it.",
)
@click.option(
    "--resolver",
    metavar="ADDRESS",
    default="",
    callback=_resolver,
    help="A DNS server that tells all gateways by the one name of --upstream; asked again every 5 s.",
)
@settings_option
def nginx_config(*, settings: Settings, name: str, tls: Tls | None, gateways: tuple[str, ...], resolver: str) -> None:
    """Print an nginx configuration for these settings, to go into /etc/nginx/conf.d.

    Example: gateway nginx-config --server-name gateway.example.com --tls /etc/ssl/gateway.pem /etc/ssl/gateway.key
    """
    click.echo(config_text(settings.server, name, tls, gateways, resolver=resolver), nl=False)
    for sentence in missing_settings(settings.server, name, tls, gateways):
        click.echo(f"Note: {sentence}.", err=True)
