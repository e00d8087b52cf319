"""/dashboard/activity, a page and a file: what was done with the client's records, as its members may know it."""

from collections.abc import Awaitable, Callable
from functools import partial

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard.activity_filter import asked_of
from gateway.dashboard.csv_answer import CSV_BATCH_ROWS, Batches, Row, csv_answer
from gateway.dashboard.paging import query_with
from gateway.dashboard.sealed_number import before_of, sealed_number
from gateway.dashboard.templating import page
from gateway.dashboard.visitor import client_of
from gateway.models import ActivityEntry
from gateway.services import services_of
from gateway.store import Found

ACTIVITY_ROWS = 18
"""On a phone far from UTC, where a time is of two days and takes two lines, so many make seven screens."""
ACTIVITY_COLUMNS = ("at", "actor", "action", "subject", "address", "requestId")
OPERATOR = "operator"
ACTION_WORDS = {
    "client.create": "created the client",
    "client.update": "changed the settings of the client",
    "client.rename": "changed the short name of the client",
    "client.disable": "disabled the client",
    "client.enable": "enabled the client",
    "client.remove": "removed the client",
    "connection.create": "created the connection",
    "connection.import": "imported the connection",
    "connection.map": "mapped the connection",
    "connection.rename": "renamed the connection",
    "connection.move-out": "moved to another client the connection",
    "connection.move-in": "moved here from another client the connection",
    "connection.update": "changed the connection",
    "connection.remove": "removed the connection",
    "key.create": "created the API key",
    "key.rotate": "rotated the API key",
    "key.revoke": "revoked the API key",
    "key.update": "changed the API key",
    "sync.trigger": "started a sync of",
    "webhook.create": "added the webhook",
    "webhook.rotate": "rotated the secret of the webhook",
    "webhook.update": "changed the webhook",
    "webhook.enable": "enabled the webhook",
    "webhook.disable": "disabled the webhook",
    "webhook.remove": "removed the webhook",
    "user.create": "created the user",
    "user.invite": "invited",
    "user.reset": "made a link for a new password of",
    "user.remove": "removed the user",
    "user.password": "set a new password",
    "user.sign-in": "signed in",
    "user.second-factor-on": "switched a second factor on",
    "user.second-factor-off": "switched the second factor off",
    "user.second-factor-reset": "reset the second factor of",
    "user.recovery-code": "used a recovery code",
    "user.recovery-codes": "made new recovery codes",
}
"""The words for an action, between who did it and what it was done to."""
WITHOUT_SUBJECT = frozenset(
    {
        "user.password",
        "user.sign-in",
        "user.second-factor-on",
        "user.second-factor-off",
        "user.recovery-code",
        "user.recovery-codes",
    }
)
"""Actions whose subject is the actor: it is not repeated."""


class Entries(msgspec.Struct, frozen=True):
    """A page of the log, newest first; `older` is what the address of the next one says, empty if there is none.

    `is_cut` tells that the search ended before the page was full: nobody knows yet whether there are older entries.
    """

    rows: list[ActivityEntry]
    older: str
    is_newest: bool
    is_cut: bool


async def show_activity(request: Request) -> Response:
    """Show a page of the client's activity, newest first, as the address asks for it. Raises BadRequest."""
    services, client = services_of(request), client_of(request)
    before, asked = await before_of(request), asked_of(request)
    found = await services.store.activity.search_of_client(
        client.id, before=before, limit=ACTIVITY_ROWS, wanted=asked.filter(OPERATOR)
    )
    return page(
        request,
        "activity.html",
        entries=await page_of(request, Found([as_members_see(entry) for entry in found.rows], found.before), before),
        asked=asked,
        query=partial(query_with, request),
        words=ACTION_WORDS,
        without_subject=WITHOUT_SUBJECT,
        kept_days=services.timings.retention.activity.days,
    )


async def download_activity(request: Request) -> Response:
    """Send what is kept of the client's activity and the address asks for, newest first. Raises BadRequest."""
    client, wanted = client_of(request), asked_of(request).filter(OPERATOR)

    async def read(before: int | None) -> Found:
        activity = services_of(request).store.activity
        return await activity.search_of_client(client.id, before=before, limit=CSV_BATCH_ROWS, wanted=wanted)

    batches = csv_batches(read, lambda entry: csv_row(as_members_see(entry)))
    return await csv_answer(request, f"{client.slug}-activity", ACTIVITY_COLUMNS, batches)


async def csv_batches(
    read: Callable[[int | None], Awaitable[Found]], row_of: Callable[[ActivityEntry], Row]
) -> Batches:
    """Yield the rows of all entries; `read` returns the next ones below a number, at most CSV_BATCH_ROWS."""
    found = await read(None)
    yield [row_of(entry) for entry in found.rows]
    while found.before is not None:
        found = await read(found.before)
        yield [row_of(entry) for entry in found.rows]


def csv_row(entry: ActivityEntry) -> Row:
    """Return the cells of ACTIVITY_COLUMNS."""
    return entry.at, entry.actor, entry.action, entry.subject, entry.address, entry.request_id


async def page_of(request: Request, found: Found, before: int | None) -> Entries:
    """Make a page of what was found below the number `before`, None for the newest page. Raises StorageUnavailable."""
    is_cut = found.before is not None and len(found.rows) < ACTIVITY_ROWS
    older = await sealed_number(request, found.before)
    return Entries(found.rows, older, is_newest=before is None, is_cut=is_cut)


def as_members_see(entry: ActivityEntry) -> ActivityEntry:
    """Return the entry without the operator's name and address, which clients do not see."""
    return msgspec.structs.replace(entry, actor=OPERATOR, address=None) if entry.by_operator else entry
