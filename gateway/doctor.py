"""Looks at an installation as an operator would and says, for each thing found wrong, what to do."""

import platform
import sqlite3
import ssl
from collections.abc import AsyncGenerator, AsyncIterator

import msgspec

from gateway import __version__
from gateway.errors import GatewayError, UpstreamBusy, UpstreamError, UpstreamInvalid, UpstreamRefused
from gateway.models import Connection
from gateway.services import Services
from gateway.store import journal_mode
from gateway.times import format_time

CLOCK_SKEW_SECONDS = 30


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at. `advice` is empty when all is well."""

    check: str
    ok: bool
    text: str
    advice: str = ""


async def examine(services: Services) -> AsyncGenerator[Finding, None]:
    """Each finding as it is made; `services` are open."""
    yield _settings(services)
    yield _database(services)
    yield _proxies(services)
    async for finding in _airbyte(services):
        yield finding


def versions() -> dict[str, str]:
    """Of what this process is made of, by name."""
    return {
        "Gateway": __version__,
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "OpenSSL": ssl.OPENSSL_VERSION.removeprefix("OpenSSL "),
    }


def _settings(services: Services) -> Finding:
    airbyte = services.settings.airbyte
    needed = {
        "client_credentials": (("client_id", airbyte.client_id), ("client_secret", airbyte.client_secret)),
        "basic": (("username", airbyte.username), ("password", airbyte.password)),
        "none": (),
    }[airbyte.auth]
    missing = [name for name, value in needed if not value]
    if missing:
        return Finding(
            "settings", ok=False, text=f"airbyte.{' and airbyte.'.join(missing)} not set", advice="Fill in [airbyte]."
        )
    return Finding("settings", ok=True, text=f"read; Airbyte is asked at {airbyte.base_url}")


def _database(services: Services) -> Finding:
    version = sqlite3.sqlite_version
    journal = journal_mode(sqlite3.sqlite_version_info)
    return Finding(
        "database", ok=True, text=f"{services.settings.database_path} is sound; SQLite {version}, journal {journal}"
    )


def _proxies(services: Services) -> Finding:
    trusted = services.settings.server.trusted_proxies
    if not trusted:
        return Finding("proxies", ok=True, text="none trusted: forwarding headers are ignored")
    if any(network in {"0.0.0.0/0", "::/0"} for network in trusted):
        return Finding(
            "proxies",
            ok=False,
            text="every address is trusted to say who the caller is",
            advice="List only your proxy's own address in server.trusted_proxies.",
        )
    return Finding("proxies", ok=True, text=f"forwarding headers believed from {', '.join(trusted)}")


async def _airbyte(services: Services) -> AsyncIterator[Finding]:
    try:
        workspaces = await services.airbyte.workspaces(offset=0)
    except UpstreamError as error:
        yield Finding("airbyte", ok=False, text=f"{error.message}: {error.detail}", advice=_advice(error, services))
        return
    yield Finding("airbyte", ok=True, text=f"answers; the credential sees {len(workspaces)} workspaces")
    yield _clock(services)
    if workspaces:
        yield await _job_order(services, workspaces[0].workspace_id)
    connections = [row for row in await services.store.connections.all() if row.airbyte_id is not None]
    for connection in connections:
        finding = await _connection(services, connection)
        if finding is not None:
            yield finding
    yield Finding("connections", ok=True, text=f"{len(connections)} mapped connections looked for in Airbyte")


def _advice(error: UpstreamError, services: Services) -> str:
    """By what went wrong first: a failed token call stands behind the error it led to."""
    first = error.__cause__ if isinstance(error.__cause__, UpstreamError) else error
    base_url = services.settings.airbyte.base_url
    if isinstance(first, UpstreamRefused) and first.upstream_status == 404:  # noqa: PLR2004 - HTTP's own number
        return "No such route: check airbyte.base_url, or set airbyte.auth to none if Airbyte runs without sign-in."
    if "credentials" in error.detail or "client_secret" in error.detail:
        return "Airbyte shows both under User > Applications."
    if isinstance(first, UpstreamInvalid):
        return f"{base_url} does not answer as Airbyte's API; self-managed ends in /api/public/v1, Cloud in /v1."
    if isinstance(first, UpstreamBusy):
        return "Wait a little and try again."
    return f"Check that {base_url} can be reached from this machine."


def _clock(services: Services) -> Finding:
    skew = round((services.clock.now() - services.airbyte.now()).total_seconds())
    if abs(skew) > CLOCK_SKEW_SECONDS:
        return Finding(
            "clock", ok=False, text=f"{abs(skew)} s {'ahead of' if skew > 0 else 'behind'} Airbyte's", advice="Run NTP."
        )
    return Finding("clock", ok=True, text="agrees with Airbyte's")


async def _job_order(services: Services, workspace_id: str) -> Finding:
    """Servers before 1.0 fail on any `orderBy`, and nothing tells them apart sooner."""
    try:
        await services.airbyte.jobs_updated_since([workspace_id], services.airbyte.now(), offset=0)
    except UpstreamError as error:
        return Finding(
            "airbyte version",
            ok=False,
            text=f"the job list cannot be ordered ({error.detail})",
            advice="This Airbyte seems older than 1.0, which is not supported: upgrade it.",
        )
    return Finding("airbyte version", ok=True, text="lists jobs newest first, as 1.0 and later do")


async def _connection(services: Services, connection: Connection) -> Finding | None:
    """What is wrong with a mapped connection, if anything; its status is remembered on the way."""
    airbyte_id = connection.airbyte_id or ""
    check = f"connection {connection.id}"
    try:
        record = await services.airbyte.connection(airbyte_id)
    except UpstreamRefused as refusal:
        return Finding(
            check,
            ok=False,
            text=f"{connection.label}: Airbyte does not show {airbyte_id} ({refusal.detail})",
            advice=f"gateway connection map {connection.id} --airbyte-id UUID, or gateway connection remove",
        )
    except GatewayError as error:
        return Finding(check, ok=False, text=f"{connection.label}: {error}", advice="Try again.")
    await services.store.connections.record_statuses(
        [(airbyte_id, record.status)],
        checked_at=format_time(services.clock.now()),
        workspace_id=record.workspace_id,
    )
    if record.status == "active":
        return None
    return Finding(
        check,
        ok=record.status == "inactive",
        text=f"{connection.label}: {record.status} in Airbyte",
        advice="" if record.status == "inactive" else "Map it to another connection or remove it.",
    )
