"""An installation with a lot in it: 131 clients, 500 connections, 608 keys, 403 people, long texts everywhere."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.sandbox.records import Stream, StreamVolume
from gateway.sandbox.timeline import Status
from gateway.times import format_time
from tests.faults.installation import LONG_FRESH, Installation

CLIENTS, CONNECTIONS, KEYS, PEOPLE = 131, 500, 608, 403
OF_ACME = {"connections": 200, "keys": 300, "working": 60, "people": 220}
"""What the client `acme`, whose number is 1, has of them."""
NEWCOMER = "Northwind Traders"
"""The name of the workspace whose connections no client has yet."""
OF_NEWCOMER = 200
SPARE, OF_SPARE = "Spare parts", 40
"""Another workspace, and how many connections it has that no client has."""
WORKSPACES = 60
DELIVERIES = 120
LONG_NAME = "Quarterly revenue of the northern subsidiaries"
AGENT = "airbyte-sdk-python/1.4.2 (Linux; x86_64) python-requests/2.32.3 CPython/3.12.4"
IPV6 = "2001:db8:85a3:8d3:1319:8a2e:370:7348"
NOW = datetime.now(UTC)

Rows = list[dict[str, Any]]
"""Of a table, by the names of its columns."""


@dataclass(frozen=True)
class Crowd:
    """The ids of what has a page of its own: of `acme`, each with the most there is to show."""

    connection: str
    job: int
    key: str
    webhook: str


def at(**ago: float) -> str:
    return format_time(NOW - timedelta(**ago))


def fill(installation: Installation) -> Crowd:
    """Put all of it into the database, in one transaction, and into the sandbox Airbyte."""
    connections = _connections(installation)
    first = connections[0]
    tables = {
        "clients": _clients(),
        "connections": connections,
        "api_keys": _keys(),
        "users": _people(),
        "key_usage": _usage(),
        "activity": _activity(),
        "webhooks": _webhooks(),
        "events": _events(first["id"]),
        "deliveries": _deliveries(first["id"]),
        "sync_days": _days(first["airbyte_id"]),
    }
    with closing(sqlite3.connect(installation.database)) as database, database:
        for table, rows in tables.items():
            names = list(rows[0])
            values = ", ".join(f":{name}" for name in names)
            database.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values})", rows)
    return Crowd(
        connection=first["id"],
        job=_jobs(installation, first["airbyte_id"]),
        key="key_0000000000000000",
        webhook="whk_0000000000000000",
    )


def _clients() -> Rows:
    """All but `acme`."""
    return [
        {
            "id": number,
            "slug": f"client-{number:03}",
            "name": f"Customer {number:03} {'Trading and Logistics' if number % 3 else 'Ltd'}",
            "plan": "enterprise",
            "created_at": at(days=number),
            "disabled_at": at(days=1) if number % 20 == 0 else None,
        }
        for number in range(2, CLIENTS + 1)
    ]


def _owners(total: int, of_acme: int) -> list[int]:
    """The client of each of `total` things."""
    return [1] * of_acme + [2 + number % (CLIENTS - 1) for number in range(total - of_acme)]


def _connections(installation: Installation) -> Rows:
    """A row of the table for each; the sandbox gets those, and those of two more workspaces."""
    world = installation.airbyte.sandbox.world
    for name, free in ((NEWCOMER, OF_NEWCOMER), (SPARE, OF_SPARE)):
        place = world.add_workspace(name).workspace_id
        for number in range(free):
            world.add_connection(place, name=f"{LONG_NAME} {number:03} → Warehouse")
    places = [world.add_workspace(f"Workspace {number:02} of the agency").workspace_id for number in range(WORKSPACES)]
    rows: Rows = []
    for number, owner in enumerate(_owners(CONNECTIONS, OF_ACME["connections"])):
        place = places[number % WORKSPACES]
        has_failed = number % 7 == 0
        rows.append(
            {
                "id": f"conn_{number:016}",
                "client_id": owner,
                "connector_type": "google-analytics-data-api",
                "label": f"{LONG_NAME} {number:03}",
                "status": "active",
                "airbyte_id": world.add_connection(place, name=f"{LONG_NAME} {number:03} → Warehouse").connection_id,
                "workspace_id": place,
                **dict.fromkeys(("status_checked_at", "schedule_since", "backfilled_at"), LONG_FRESH),
                "created_at": at(days=40),
                "last_sync_at": at(hours=number) if has_failed else at(minutes=number),
                "last_sync_status": "failed" if has_failed else "succeeded",
                "last_job_id": 1_000_000 + number,
            }
        )
    return rows


def _jobs(installation: Installation, airbyte_id: str) -> int:
    """Two months of jobs of one connection, every fifth failed; the number of the last, which failed."""
    world = installation.airbyte.sandbox.world
    streams = [StreamVolume(Stream(f"table_{number:02}", "public"), 10**9 + number, 10**12) for number in range(60)]
    for day in range(60, 0, -1):
        created_at = (NOW - timedelta(days=day)).timestamp()
        status: Status = "failed" if day % 5 == 0 else "succeeded"
        world.add_job(airbyte_id, status=status, created_at=created_at, rows=10**9, bytes=10**12)
    return world.add_job(airbyte_id, status="failed", streams=streams, attempts=3).job_id


def _days(airbyte_id: str) -> Rows:
    """More than a year of one connection's."""
    return [
        {
            "airbyte_id": airbyte_id,
            "day": at(days=number)[:10],
            "succeeded": 4,
            "failed": 1,
            "other": 0,
            "rows": 10**9,
            "bytes": 10**12,
        }
        for number in range(400)
    ]


def _keys() -> Rows:
    return [
        {
            "id": f"key_{number:016}",
            "client_id": owner,
            "digest": number.to_bytes(32, "big"),
            "start": f"smrt_{number:04}…",
            "name": f"{LONG_NAME} {number:03}",
            "scope": "read" if number % 2 else "full",
            "created_at": at(days=number % 300 + 1),
            "expires_at": None if number % 3 else at(days=-20),
            "revoked_at": None if owner != 1 or number < OF_ACME["working"] else at(days=number % 90),
            "last_used_at": at(days=number % 40),
            "last_used_address": IPV6,
            "last_used_agent": AGENT,
        }
        for number, owner in enumerate(_owners(KEYS, OF_ACME["keys"]))
    ]


def _usage() -> Rows:
    return [
        {
            "key_id": f"key_{number:016}",
            "client_id": 1,
            "hour": at(hours=hour)[:13] + ":00:00.000Z",
            "calls": 1_234_567,
            "limited": 4_321,
            "errors": 98,
        }
        for number in range(OF_ACME["working"])
        for hour in range(0, 600, 40)
    ]


def _people() -> Rows:
    return [
        {
            "id": f"user_{number:016}",
            "client_id": None if number == PEOPLE - 1 else owner,
            "email": f"a.very.long.first.name.and.surname.{number:03}@subsidiary.customer.example",
            "created_at": at(days=number),
            "last_sign_in_at": at(hours=number),
        }
        for number, owner in enumerate(_owners(PEOPLE, OF_ACME["people"]))
    ]


def _activity() -> Rows:
    """As behind nginx: long ids of requests, IPv6 addresses."""
    actions = ("key.create", "connection.rename", "user.sign-in", "sync.trigger", "client.update", "key.polish")
    return [
        {
            "at": at(minutes=number * 7),
            "client_id": 1 + number % 5,
            "actor": f"a.very.long.first.name.and.surname.{number % 40:03}@subsidiary.customer.example",
            "action": actions[number % len(actions)],
            "subject": f"{LONG_NAME} (conn_{number:016})",
            "address": IPV6,
            "request_id": f"{number * 7919:032x}",
            "by_operator": number % 9 == 0,
        }
        for number in reversed(range(300))
    ]


def _webhooks() -> Rows:
    return [
        {
            "number": number + 1,
            "id": f"whk_{number:016}",
            "client_id": 1,
            "url": f"https://hooks.customer.example/integrations/warehouse/airbyte/events?tenant=north&number={number}",
            "events": "[]",
            "connections": "[]",
            "secret": "secret",
            "created_at": at(days=9),
            "told_since": at(days=9),
            "failing_since": at(days=2),
        }
        for number in range(8)
    ]


def _events(connection: str) -> Rows:
    return [
        {
            "number": number + 1,
            "id": f"evt_{number:016}",
            "client_id": 1,
            "connection_id": connection,
            "type": "sync.failed",
            "subject": f"{number}",
            "at": at(hours=number),
            "data": "{}",
            "created_at": at(hours=number),
        }
        for number in range(DELIVERIES)
    ]


def _deliveries(connection: str) -> Rows:
    """More than the page of the first webhook shows."""
    return [
        {
            "webhook_number": 1,
            "event_number": number + 1,
            "client_id": 1,
            "stream": connection,
            "outcome": "failed",
            "attempts": 9,
            "attempted_at": at(hours=number),
            "status": 503,
            "excerpt": f"<html>{LONG_NAME} {LONG_NAME}",
        }
        for number in range(DELIVERIES)
    ]
