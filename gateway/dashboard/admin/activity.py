"""/dashboard/admin/activity, a page and a file: what was done, for every client or for one."""

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard.activity import (
    ACTION_WORDS,
    ACTIVITY_COLUMNS,
    ACTIVITY_ROWS,
    WITHOUT_SUBJECT,
    csv_batches,
    csv_row,
    page_of,
)
from gateway.dashboard.activity_filter import asked_of
from gateway.dashboard.csv_answer import CSV_BATCH_ROWS, Row, csv_answer
from gateway.dashboard.paging import query_with
from gateway.dashboard.sealed_number import before_of
from gateway.dashboard.templating import page
from gateway.errors import UnknownRecord
from gateway.models import ActivityEntry, Client
from gateway.services import services_of
from gateway.store import Found


async def show_activity(request: Request) -> Response:
    """Show a page of the activity log, newest first, as the address asks for it. Raises BadRequest."""
    services = services_of(request)
    store = services.store
    slug = request.query_params.get("client", "").strip()
    before, asked = await before_of(request), asked_of(request)
    client, problem = None, ""
    if slug:
        try:
            client = await store.clients.by_slug(slug)
        except UnknownRecord:
            problem = f"There is no client {slug!r}"
    found, activity, wanted = Found([]), store.activity, asked.filter()
    if client is not None:
        found = await activity.search_of_client(client.id, before=before, limit=ACTIVITY_ROWS, wanted=wanted)
    elif not slug:
        found = await activity.search_all(before=before, limit=ACTIVITY_ROWS, wanted=wanted)
    return page(
        request,
        "admin/activity.html",
        status=404 if problem else 200,
        problem=problem,
        slug=slug,
        asked=asked,
        query=partial(query_with, request),
        entries=await page_of(request, found, before),
        words=ACTION_WORDS,
        without_subject=WITHOUT_SUBJECT,
        kept_days=services.timings.retention.activity.days,
        clients=_by_id(await store.clients.all()),
    )


async def download_activity(request: Request) -> Response:
    """Send what is kept of the activity and the address asks for. Raises UnknownRecord, BadRequest."""
    services = services_of(request)
    store = services.store
    slug = request.query_params.get("client", "").strip()
    wanted = asked_of(request).filter()
    client = await store.clients.by_slug(slug) if slug else None
    clients = _by_id(await store.clients.all())

    async def read(before: int | None) -> Found:
        if client is not None:
            return await store.activity.search_of_client(client.id, before=before, limit=CSV_BATCH_ROWS, wanted=wanted)
        return await store.activity.search_all(before=before, limit=CSV_BATCH_ROWS, wanted=wanted)

    def row(entry: ActivityEntry) -> Row:
        owner = None if entry.client_id is None else clients.get(entry.client_id)
        return owner.slug if owner else None, *csv_row(entry)

    name = f"{client.slug}-activity" if client else "activity"
    return await csv_answer(request, name, ("client", *ACTIVITY_COLUMNS), csv_batches(read, row))


def _by_id(clients: list[Client]) -> dict[int, Client]:
    return {client.id: client for client in clients}
