"""/dashboard/connections: the client's connections, with the outcomes of their syncs in the last thirty days."""

import functools
from datetime import datetime, timedelta
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard import day_strip
from gateway.dashboard.paging import read_page
from gateway.dashboard.templating import page
from gateway.dashboard.timings import PageTimings
from gateway.dashboard.visitor import client_of
from gateway.dashboard.volume import volume_of
from gateway.models import TERMINAL_STATUSES, Connection
from gateway.services import services_of
from gateway.syncs.history import History
from gateway.times import parse_time

SORTED_BY = ("label", "state", "-last_sync")

Freshness = Literal["today", "week", "older", "never"]


class Row(msgspec.Struct, frozen=True):
    """A connection as the list shows it; `strip` is None when its history is not known."""

    connection: Connection
    freshness: Freshness
    strip: day_strip.DayStrip | None


async def show_connections(request: Request, timings: PageTimings) -> Response:
    """Show the client's connections, searched and paged."""
    services, client = services_of(request), client_of(request)
    all_connections, is_fresh = await services.syncs.last_sync.connections_of(client.id)
    connections = all_connections.rows
    listed = await read_page(
        request, functools.partial(services.store.connection_pages.of_client, client.id), orders=SORTED_BY
    )
    history = await services.syncs.history.of(client, listed.rows)
    return page(
        request,
        "connections.html",
        total=len(connections),
        page=listed,
        rows=[_row(connection, history, services.clock.now()) for connection in listed.rows],
        volume=await volume_of(services, client, connections),
        known_at=await services.store.last_syncs.read_upto(),
        is_stale=history.is_stale or not is_fresh,
        is_reading=history.is_reading,
        live_seconds=_live_seconds(
            history,
            timings,
            retry=services.syncs.history.timings.retry,
            is_changing=not is_fresh or any(map(is_running, connections)),
        ),
        outcomes=day_strip.OUTCOMES,
    )


def is_running(connection: Connection) -> bool:
    """Return whether the last sync has not ended."""
    return connection.last_sync_status is not None and connection.last_sync_status not in TERMINAL_STATUSES


def freshness(last_sync_at: str | None, now: datetime) -> Freshness:
    """Return how long ago the last sync was."""
    if last_sync_at is None:
        return "never"
    age = now - parse_time(last_sync_at)
    return "today" if age < timedelta(days=1) else "week" if age < timedelta(days=7) else "older"


def _row(connection: Connection, history: History, now: datetime) -> Row:
    days = history.days.get(connection.airbyte_id or "")
    return Row(
        connection,
        freshness(connection.last_sync_at, now),
        None if days is None else day_strip.day_strip(days, now.date()),
    )


def _live_seconds(history: History, timings: PageTimings, *, retry: float, is_changing: bool) -> int | None:
    """Return after how many seconds the page is loaded again; None when nothing is about to change.

    `retry`: a broken Airbyte is asked for days of syncs no more often.
    """
    if history.is_reading:
        return timings.reload_reading
    if history.is_stale:
        return int(retry)
    return timings.reload_running if is_changing else None
