"""`gateway sandbox`: run only the stand-in Airbyte."""

import click

from gateway.cli.options import PORT
from gateway.sandbox import PUBLIC_API, Sandbox
from gateway.settings import ServerSettings
from gateway.telemetry.log import configure_log
from gateway.web.server.server import serve_app

CLIENT_ID = "sandbox-client"
CLIENT_SECRET = "sandbox-secret"  # noqa: S105 - printed on purpose, opens nothing but a sandbox

SETTINGS = f"""
A gateway uses it with this in settings.toml:

[airbyte]
base_url = "{{base_url}}"
client_id = "{CLIENT_ID}"
client_secret = "{CLIENT_SECRET}"
"""


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Listen at this address.")
@click.option("--port", type=PORT, default=8001, show_default=True, help="Listen at this port.")
def sandbox(host: str, port: int) -> None:
    """Run a stand-in Airbyte with two workspaces and a month of history, to try and test with.

    Example: gateway sandbox --port 8001
    """
    configure_log(level="warning", style="console")

    def announce(address: str) -> None:
        click.echo(f"base_url {address}{PUBLIC_API}")
        click.echo(f"client_id {CLIENT_ID}")
        click.echo(f"client_secret {CLIENT_SECRET}")
        click.echo(SETTINGS.format(base_url=f"{address}{PUBLIC_API}"), err=True)

    server = ServerSettings(host=host, port=port, trusted_proxies=(), public_url="", metrics_networks=())
    airbyte = Sandbox(client_id=CLIENT_ID, client_secret=CLIENT_SECRET, public_url=f"http://{host}:{port}")
    # The sandbox dates its answers by its own clock.
    serve_app(airbyte.app, server, started=announce, date_header=False)
