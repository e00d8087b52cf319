"""/dashboard: the client's connections, with the outcomes of their syncs in the last thirty days."""

import functools
from datetime import datetime, timedelta
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard import day_strip
from gateway.dashboard.paging import paged, query_with
from gateway.dashboard.templating import page
from gateway.dashboard.timings import PageTimings
from gateway.dashboard.visitor import client_of
from gateway.models import TERMINAL_STATUSES, Connection
from gateway.services import services_of
from gateway.syncs.history import History
from gateway.times import parse_time

CONNECTION_ROWS = 25
ATTENTION = "attention"
WEAK_STATUSES = frozenset({"locked", "deprecated", "pending"})
"""Statuses of a connection that does not sync although nobody switched it off."""

Freshness = Literal["today", "week", "older", "never"]


class Row(msgspec.Struct, frozen=True):
    """A connection as the list shows it; `strip` is None when its history is not known."""

    connection: Connection
    freshness: Freshness
    strip: day_strip.DayStrip | None


class Summary(msgspec.Struct, frozen=True):
    """The figures at the top of the page."""

    connections: int
    failed: int
    running: int
    attention: int
    newest: str | None


async def show_overview(request: Request, timings: PageTimings) -> Response:
    """Show the client's connections, searched and paged."""
    services, client = services_of(request), client_of(request)
    is_fresh = await services.syncs.last_sync.ensure_fresh(client.id)
    connections = await services.store.connections.of_client(client.id)
    show = request.query_params.get("show", "")
    chosen = [row for row in connections.rows if show != ATTENTION or needs_attention(row)]
    listed = paged(request, sorted(chosen, key=_by_label), _text_of, size=CONNECTION_ROWS)
    history = await services.syncs.history.of(client, listed.rows)
    summary = summary_of(connections.rows)
    return page(
        request,
        "overview.html",
        summary=summary,
        page=listed,
        rows=[_row(connection, history, services.clock.now()) for connection in listed.rows],
        show=show,
        query=functools.partial(query_with, request),
        is_stale=history.is_stale or not is_fresh,
        is_reading=history.is_reading,
        live_seconds=_live_seconds(
            summary, history, timings, retry=services.syncs.history.timings.retry, is_fresh=is_fresh
        ),
        outcomes=day_strip.OUTCOMES,
    )


def summary_of(connections: tuple[Connection, ...]) -> Summary:
    """Count the connections for the top of the page."""
    return Summary(
        connections=len(connections),
        failed=sum(row.last_sync_status == "failed" for row in connections),
        running=sum(is_running(row) for row in connections),
        attention=sum(needs_attention(row) for row in connections),
        newest=max((row.last_sync_at for row in connections if row.last_sync_at), default=None),
    )


def needs_attention(connection: Connection) -> bool:
    """Return whether the last sync failed, or the connection does not sync although nobody switched it off."""
    return connection.last_sync_status == "failed" or connection.status in WEAK_STATUSES


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


def _live_seconds(
    summary: Summary, history: History, timings: PageTimings, *, retry: float, is_fresh: bool
) -> int | None:
    """Return after how many seconds the page is loaded again; None when nothing is about to change.

    `retry`: a broken Airbyte is asked for days of syncs no more often.
    """
    if history.is_reading:
        return timings.reload_reading
    if history.is_stale:
        return int(retry)
    return timings.reload_running if summary.running or not is_fresh else None


def _by_label(connection: Connection) -> tuple[str, str]:
    return connection.label.casefold(), connection.id


def _text_of(connection: Connection) -> str:
    return f"{connection.label} {connection.connector_type} {connection.id}"
