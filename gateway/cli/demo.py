"""`gateway demo`: run a gateway with a sandbox Airbyte and one client, which keeps nothing."""

import asyncio
import secrets
import tempfile
from pathlib import Path

import click
import msgspec

from gateway.airbyte.in_process import in_process
from gateway.app import build_gate, create_app
from gateway.cli.options import PORT, accounts_of
from gateway.models import ACTIVE, COMMAND_LINE
from gateway.sandbox import PUBLIC_API, Sandbox
from gateway.services import Services, build_services
from gateway.settings import Settings, load_settings
from gateway.settings.secret import Secret
from gateway.store import create_database
from gateway.telemetry.log import configure_log
from gateway.times import SystemClock
from gateway.web.server.server import serve_app

CLIENT_NAME = "Acme Inc"
CLIENT_SLUG = "acme"
MEMBER = "ann@acme.example"


class Demonstrated(msgspec.Struct, frozen=True):
    """What the demo shows: a key, one of the connections, and the secret of a link into the dashboard."""

    key: str
    connection_id: str
    link: str


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Listen at this address.")
@click.option("--port", type=PORT, default=8080, show_default=True, help="Listen at this port.")
def demo(host: str, port: int) -> None:
    """Try the gateway, with a sandbox Airbyte and one client with a key, in one process that keeps nothing.

    Example: gateway demo --port 8080
    """
    configure_log(level="info", style="console")
    secret = secrets.token_urlsafe()
    airbyte = Sandbox(client_id="demo", client_secret=secret)
    with tempfile.TemporaryDirectory(prefix="gateway-demo-") as folder:
        settings = _settings(Path(folder), host, port, secret)

        def services() -> Services:
            return build_services(settings, SystemClock(), connect=in_process(airbyte.app))

        workspace = next(iter(airbyte.world.workspaces))
        demonstrated = asyncio.run(_provision(services(), workspace))
        served = services()
        gate = build_gate(served)
        serve_app(
            create_app(served, gate),
            settings.server,
            gate=gate,
            started=lambda address: _announce(address, demonstrated),
        )


def _settings(folder: Path, host: str, port: int, secret: str) -> Settings:
    """Return the defaults, whatever this folder's settings.toml says: a demo touches no installation."""
    settings = load_settings(None, {}, working_directory=folder)
    return msgspec.structs.replace(
        settings,
        server=msgspec.structs.replace(settings.server, host=host, port=port),
        airbyte=msgspec.structs.replace(
            settings.airbyte,
            base_url=f"http://sandbox{PUBLIC_API}",
            client_id="demo",
            client_secret=Secret(secret),
        ),
    )


async def _provision(services: Services, workspace: str) -> Demonstrated:
    await create_database(services.settings.database_path)
    async with services.opened():
        await services.clients.add(slug=CLIENT_SLUG, name=CLIENT_NAME, plan="free")
        imported = [each async for each in services.connections.import_workspace(CLIENT_SLUG, workspace)]
        key = await services.keys.create(CLIENT_SLUG, name="demo", scope="full", expires=None, rate=None)
        user, _ = await accounts_of(services).users.invite(MEMBER, CLIENT_SLUG, by=COMMAND_LINE)
        link = await accounts_of(services).links.to_visit(user)
    active = (each.connection for each in imported if each.connection and each.connection.status == ACTIVE)
    return Demonstrated(key.text, next(active).id, link)


def _announce(address: str, demonstrated: Demonstrated) -> None:
    curl = f'curl -sS -H "Authorization: Bearer {demonstrated.key}"'
    connections = f"{address}/api/v1/connections"
    lines = [
        f"The gateway runs at {address} for {CLIENT_NAME}, whose key is",
        f"  {demonstrated.key}",
        "Paste into another terminal:",
        f"  {curl} {address}/api/v1/status",
        f"  {curl} {connections}",
        f"  {curl} -X POST {connections}/{demonstrated.connection_id}/sync",
        f'  {curl} "{connections}/{demonstrated.connection_id}/jobs?limit=3"',
        "Open in a browser, signed in as the client's member:",
        f"  {address}/dashboard/link/{demonstrated.link}",
        f"Documentation: {address}/docs/getting-started",
        "Everything is gone when you stop it with Ctrl-C.",
    ]
    click.echo("\n".join(lines))
