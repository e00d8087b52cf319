"""`gateway demo`: run a gateway with a sandbox Airbyte and one client, which keeps nothing."""

import asyncio
import secrets
import tempfile
from pathlib import Path

import click
import msgspec

from gateway.airbyte.in_process import in_process
from gateway.app import build_gate, create_app
from gateway.cli.demo_receiver import LOOPBACK, receiving
from gateway.cli.options import PORT, accounts_of
from gateway.models import ACTIVE, COMMAND_LINE
from gateway.sandbox import PUBLIC_API, Sandbox
from gateway.sandbox.records import Stream
from gateway.sandbox.world import World
from gateway.services import Services, build_services
from gateway.settings import Settings, WebhookSettings, load_settings
from gateway.settings.secret import Secret
from gateway.store import create_database
from gateway.telemetry.log import configure_log
from gateway.times import SystemClock
from gateway.web.server.server import serve_app

CLIENT_NAME = "Acme Inc"
CLIENT_SLUG = "acme"
MEMBER = "ann@acme.example"
OPERATOR_EMAIL = "olga@gateway.example"
DAY = 86400
RUNS_OF_LATE, STOPPED_DAYS = 20, 2


class Demonstrated(msgspec.Struct, frozen=True):
    """What the demo shows: a key, one of the connections, and the secrets of links into the dashboard."""

    key: str
    connection_id: str
    member_link: str
    admin_link: str


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
    workspace = next(iter(airbyte.world.workspaces))
    _add_late_connection(airbyte.world, workspace)
    with tempfile.TemporaryDirectory(prefix="gateway-demo-") as folder, receiving() as receiver:
        settings = _settings(Path(folder), host, port, secret)

        def services() -> Services:
            return build_services(settings, SystemClock(), connect=in_process(airbyte.app))

        demonstrated = asyncio.run(_provision(services(), workspace, receiver))
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
            late_grace_seconds=0,
        ),
        webhooks=WebhookSettings(allowed_networks=(LOOPBACK,), allow_http=True, ca_file=""),
    )


def _add_late_connection(world: World, workspace: str) -> None:
    """Add a connection whose daily sync has not begun for two days: nothing starts it."""
    schedule = {"scheduleType": "basic", "basicTiming": "Every 24 HOURS"}
    now = SystemClock().now().timestamp()
    begun = [now - (STOPPED_DAYS + number) * DAY for number in reversed(range(RUNS_OF_LATE))]
    late = world.add_connection(
        workspace,
        "zendesk-support",
        name="Zendesk -> BigQuery",
        schedule=schedule,
        created_at=begun[0] - DAY,
        streams=(Stream("tickets"),),
    )
    for at in begun:
        world.add_job(late.connection_id, created_at=at)


async def _provision(services: Services, workspace: str, receiver: str) -> Demonstrated:
    await create_database(services.settings.database_path)
    async with services.opened():
        await services.clients.add(slug=CLIENT_SLUG, name=CLIENT_NAME, plan="free")
        imported = [each async for each in services.connections.import_workspace(CLIENT_SLUG, workspace)]
        key = await services.keys.create(CLIENT_SLUG, name="demo", scope="full", expires=None, rate=None)
        webhook = await services.webhooks.endpoints.add(CLIENT_SLUG, url=receiver)
        await services.webhooks.endpoints.test(webhook.record.id)
        accounts = accounts_of(services)
        people = [
            await accounts.users.invite(*who, by=COMMAND_LINE)
            for who in ((MEMBER, CLIENT_SLUG), (OPERATOR_EMAIL, None))
        ]
        links = [await accounts.links.to_visit(user) for user, _ in people]
    active = (each.connection for each in imported if each.connection and each.connection.status == ACTIVE)
    return Demonstrated(key.text, next(active).id, *links)


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
        f"  {address}/dashboard/link/{demonstrated.member_link}",
        "Or as the operator, in a private window if you want both:",
        f"  {address}/dashboard/link/{demonstrated.admin_link}",
        f"Documentation: {address}/docs/getting-started",
        "Everything is gone when you stop it with Ctrl-C.",
    ]
    click.echo("\n".join(lines))
