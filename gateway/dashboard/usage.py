"""/dashboard/usage, a page and a file: the calls made with the client's keys."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time, timedelta

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard.addressed import addressed_client
from gateway.dashboard.csv_answer import CSV_BATCH_ROWS, Batches, csv_answer
from gateway.dashboard.date_range import DateRange
from gateway.dashboard.humanize import day
from gateway.dashboard.key_states import state_of
from gateway.dashboard.paging import paged
from gateway.dashboard.templating import page
from gateway.dashboard.usage_chart import DRAWING, LAST_DAY, LAST_MONTH, Period, period_of_days, usage_chart
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


SORTED_BY: dict[str, Callable[[Row], object]] = {
    "name": lambda row: row.key.name.casefold(),
    "-calls": lambda row: row.usage.calls,
    "-limited": lambda row: row.usage.limited,
    "-errors": lambda row: row.usage.errors,
}


class Chosen(msgspec.Struct, frozen=True):
    """What the address asks for; `end` is in the last hour or day of the period."""

    dates: DateRange
    period: Period
    end: datetime

    @property
    def since(self) -> datetime:
        """When what is shown begins."""
        return self.period.begin(self.end)

    @property
    def before(self) -> datetime:
        """When what is shown ends."""
        return self.since + self.period.number * self.period.step

    @property
    def query(self) -> dict[str, str]:
        """The parameters that lead to it."""
        return self.dates.query or {"period": self.period.name}


async def show_usage(request: Request) -> Response:
    """Show the calls of a day or a month, in total and by key."""
    services, client = services_of(request), client_of(request)
    now, chosen = services.clock.now(), _chosen(request)
    since, before = format_time(chosen.since), format_time(chosen.before)
    used = {each.key_id: each for each in await services.store.usage.of_client(client.id, since, before=before)}
    rows = [
        Row(
            key,
            used.get(key.id) or KeyUsage(key.id, calls=0, limited=0, errors=0),
            state_of(key, now),
            in_words(key.rate or client.rate or services.limiter.default),
        )
        for key in await services.store.key_pages.working_or_used(client.id, now=format_time(now), since=since)
    ]
    hours = await services.store.usage.hours(client.id, since, before=before)
    return page(
        request,
        "usage.html",
        periods=PERIODS,
        period=chosen.period,
        dates=chosen.dates,
        carried=chosen.query,
        drawing=DRAWING,
        chart=usage_chart(chosen.period, hours, chosen.end),
        rows=paged(request, _most_used_first(rows), _text_of, orders=SORTED_BY),
        any=bool(rows),
        kept_days=_kept_days(request),
        lag_seconds=round(services.timings.store.usage_flush),
    )


async def download_usage(request: Request) -> Response:
    """Send the calls of a day or a month, by hour and key. Raises BadRequest."""
    return await _usage_file(request, client_of(request))


async def download_usage_of_any_client(request: Request) -> Response:
    """Send the calls of the client in the address. Raises NotFound, BadRequest."""
    return await _usage_file(request, await addressed_client(request))


async def _usage_file(request: Request, client: Client) -> Response:
    services, chosen = services_of(request), _chosen(request)
    if not chosen.dates and request.query_params.get("period", "") not in {"", chosen.period.name}:
        # A page says which period it shows; whoever reads a file may not notice that it is another one.
        raise BadRequest(WRONG_PERIOD)
    since, before = format_time(chosen.since), format_time(chosen.before)

    async def batches() -> Batches:
        after = (since, "")
        while hours := await services.store.usage.hours_of_keys(
            client.id, after=after, before=before, limit=CSV_BATCH_ROWS
        ):
            yield [
                (each.hour, each.key_id, each.name, each.start, each.calls, each.limited, each.errors) for each in hours
            ]
            after = (hours[-1].hour, hours[-1].key_id)

    name = "-to-".join(chosen.dates.query.values()) or chosen.period.name
    return await csv_answer(request, f"{client.slug}-usage-{name}", USAGE_COLUMNS, batches())


def _chosen(request: Request) -> Chosen:
    """Return the days in the address, or else the period. Raises BadRequest."""
    now, dates = services_of(request).clock.now(), DateRange.of(request)
    if not dates:
        wanted = request.query_params.get("period", "")
        period = next((period for period in PERIODS if period.name == wanted), LAST_DAY)
        return Chosen(dates, period, now)
    oldest = now.date() - timedelta(days=_kept_days(request))
    last = min(max(dates.last or now.date(), oldest), now.date())
    first = min(max(dates.first or oldest, oldest), last)
    words = day(first.isoformat()) if first == last else f"{day(first.isoformat())} to {day(last.isoformat())}"
    return Chosen(dates, period_of_days(words, (last - first).days + 1), datetime.combine(last, time.max, UTC))


def _kept_days(request: Request) -> int:
    return services_of(request).timings.retention.usage.days


def _most_used_first(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (-row.usage.calls, row.key.name.casefold(), row.key.id))


def _text_of(row: Row) -> str:
    return f"{row.key.name} {row.key.start} {row.key.id}"
