"""/dashboard/usage, a page and a file: the calls made with the client's keys."""

from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard.addressed import addressed_client
from gateway.dashboard.csv_answer import CSV_BATCH_ROWS, Batches, csv_answer
from gateway.dashboard.key_states import state_of
from gateway.dashboard.paging import paged
from gateway.dashboard.templating import page
from gateway.dashboard.usage_chart import BAR, HEIGHT, LAST_DAY, LAST_MONTH, ROOM, STEP, Period, usage_chart
from gateway.dashboard.visitor import client_of
from gateway.errors import BadRequest
from gateway.limiter import in_words
from gateway.models import ApiKey, Client, KeyUsage
from gateway.services import services_of
from gateway.times import format_time

PERIODS = (LAST_DAY, LAST_MONTH)
WRONG_PERIOD = f"period must be {' or '.join(each.name for each in PERIODS)}"
USAGE_COLUMNS = ("hour", "keyId", "key", "start", "calls", "limited", "errors")


class Row(msgspec.Struct, frozen=True):
    """A key and its use in the period."""

    key: ApiKey
    usage: KeyUsage
    state: str
    limit: str


async def show_usage(request: Request) -> Response:
    """Show the calls of a day or a month, in total and by key."""
    services, client = services_of(request), client_of(request)
    now = services.clock.now()
    period = _period(request)
    since = format_time(period.begin(now))
    used = {each.key_id: each for each in await services.store.usage.of_client(client.id, since)}
    rows = [
        Row(
            key,
            used.get(key.id) or KeyUsage(key.id, calls=0, limited=0, errors=0),
            state_of(key, now),
            in_words(key.rate or client.rate or services.limiter.default),
        )
        for key in await services.store.key_pages.working_or_used(client.id, now=format_time(now), since=since)
    ]
    return page(
        request,
        "usage.html",
        periods=PERIODS,
        period=period,
        drawing={"step": STEP, "bar": BAR, "height": HEIGHT, "room": ROOM},
        chart=usage_chart(period, await services.store.usage.hours(client.id, since), now),
        rows=paged(request, _most_used_first(rows), _text_of),
        any=bool(rows),
        lag_seconds=round(services.timings.store.usage_flush),
    )


async def download_usage(request: Request) -> Response:
    """Send the calls of a day or a month, by hour and key. Raises BadRequest."""
    return await _usage_file(request, client_of(request))


async def download_usage_of_any_client(request: Request) -> Response:
    """Send the calls of the client in the address. Raises NotFound, BadRequest."""
    return await _usage_file(request, await addressed_client(request))


async def _usage_file(request: Request, client: Client) -> Response:
    services, period = services_of(request), _period(request)
    if request.query_params.get("period", "") not in {"", period.name}:
        # A page says which period it shows; whoever reads a file may not notice that it is another one.
        raise BadRequest(WRONG_PERIOD)
    since = format_time(period.begin(services.clock.now()))

    async def batches() -> Batches:
        after = (since, "")
        while hours := await services.store.usage.hours_of_keys(client.id, after=after, limit=CSV_BATCH_ROWS):
            yield [
                (each.hour, each.key_id, each.name, each.start, each.calls, each.limited, each.errors) for each in hours
            ]
            after = (hours[-1].hour, hours[-1].key_id)

    return await csv_answer(request, f"{client.slug}-usage-{period.name}", USAGE_COLUMNS, batches())


def _period(request: Request) -> Period:
    wanted = request.query_params.get("period", "")
    return next((period for period in PERIODS if period.name == wanted), LAST_DAY)


def _most_used_first(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (-row.usage.calls, row.key.name.casefold(), row.key.id))


def _text_of(row: Row) -> str:
    return f"{row.key.name} {row.key.start} {row.key.id}"
