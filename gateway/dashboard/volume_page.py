"""/dashboard/connections/volume, and below a client's page: what syncs moved by month, and in two spans of days."""

import functools
import re
from datetime import date, timedelta

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard.date_range import ONE_DAY, DateRange
from gateway.dashboard.humanize import day
from gateway.dashboard.key_owner import key_owner_of
from gateway.dashboard.paging import Page, query_with, read_page
from gateway.dashboard.templating import page
from gateway.dashboard.visitor import visitor_of
from gateway.dashboard.volume import volume_of
from gateway.errors import BadRequest
from gateway.models import Client, ConnectionVolume
from gateway.services import services_of

MONTHS_SHOWN = 12
VOLUME_ROWS = 12
"""On a phone each has many figures, and a year stands below them."""
CARRIED_PERIOD = ("month", "with", "from", "to")
SORTED_BY = ("label", "-first_rows", "-second_rows", "-first_bytes", "-second_bytes")
WRONG_MONTH = "month and with must be months, such as 2026-11"
_MONTH = re.compile(r"20[0-9]{2}-(?:0[1-9]|1[0-2])")


class Period(msgspec.Struct, frozen=True):
    """Days from `first` to the one before `end`, in words."""

    first: date
    end: date
    words: str

    @property
    def span(self) -> tuple[str, str]:
        """The first day and the one after the last, as `2026-04-01`."""
        return self.first.isoformat(), self.end.isoformat()

    @property
    def last(self) -> date:
        """The last day."""
        return self.end - ONE_DAY

    def begins_before(self, day: str | None) -> bool:
        """Return whether the first day is before this one, such as `2026-04-01`; False for None."""
        return day is not None and self.first.isoformat() < day


class Periods(msgspec.Struct, frozen=True):
    """The two that are compared."""

    first: Period
    second: Period


async def show_volume(request: Request) -> Response:
    """Show the client's volume. Raises NotFound, BadRequest."""
    client, periods, compared = await read_compared(request)
    services, first, second = services_of(request), periods.first, periods.second
    store, today = services.store, services.clock.now().date()
    months = recent_months(today)
    volume = await volume_of(services, client, (await store.connections.of_client(client.id)).rows)
    return page(
        request,
        "volume-page.html",
        client=client if visitor_of(request).client is None else None,
        by_month=await store.volumes.by_month(client.id, map(month_name, months)),
        months=[(month_name(each), month_words(each)) for each in _offered(months, periods)],
        first=first,
        second=second,
        not_over=list(dict.fromkeys(each.words for each in (first, second) if each.last >= today)),
        incomplete=list(dict.fromkeys(each.words for each in (first, second) if each.begins_before(volume.first_day))),
        dates=DateRange.of(request),
        totals=await store.volumes.total(client.id, first.span, second.span),
        compared=compared,
        query=functools.partial(query_with, request),
        carried={name: request.query_params[name] for name in CARRIED_PERIOD if name in request.query_params},
        volume=volume,
    )


async def read_compared(request: Request, *, size: int = VOLUME_ROWS) -> tuple[Client, Periods, Page[ConnectionVolume]]:
    """Return the client, and the periods and connections that the address asks for. Raises NotFound, BadRequest."""
    services, client = services_of(request), (await key_owner_of(request)).client
    periods = _periods(request, services.clock.now().date())
    read = functools.partial(
        services.store.volumes.compared, client.id, first=periods.first.span, second=periods.second.span
    )
    return client, periods, await read_page(request, read, orders=SORTED_BY, size=size)


def recent_months(today: date) -> list[date]:
    """Return the first days of the last twelve months, the newest first."""
    months = [today.replace(day=1)]
    while len(months) < MONTHS_SHOWN:
        months.append((months[-1] - ONE_DAY).replace(day=1))
    return months


def month_name(month: date) -> str:
    """Return `2026-11`."""
    return f"{month:%Y-%m}"


def month_words(month: date) -> str:
    """Return `November 2026`."""
    return f"{month:%B %Y}"


def _offered(months: list[date], periods: Periods) -> list[date]:
    """Return the months to choose from, the newest first: also one that is chosen and longer ago."""
    chosen = (period.first for period in (periods.first, periods.second) if period.words == month_words(period.first))
    return sorted({*months, *chosen}, reverse=True)


def _periods(request: Request, today: date) -> Periods:
    """Return the two that the address asks for: two months, or days beside as many before them. Raises BadRequest."""
    days = DateRange.of(request)
    if days:
        last = days.last or today
        first = days.first or last.replace(day=1)
        if max(first, last) > today:
            raise BadRequest("from and to must not be later than today")
        length = last + ONE_DAY - first
        return Periods(_days(first, first + length), _days(first - length, first))
    this = _month(request.query_params.get("month", ""), today.replace(day=1))
    other = _month(request.query_params.get("with", ""), (this - ONE_DAY).replace(day=1))
    return Periods(_whole_month(this), _whole_month(other))


def _month(text: str, default: date) -> date:
    if not text:
        return default
    if _MONTH.fullmatch(text) is None:
        raise BadRequest(WRONG_MONTH)
    return date.fromisoformat(f"{text}-01")


def _whole_month(first: date) -> Period:
    return Period(first, (first + timedelta(days=32)).replace(day=1), month_words(first))


def _days(first: date, end: date) -> Period:
    last = end - ONE_DAY
    words = day(first.isoformat()) if first == last else f"{day(first.isoformat())} to {day(last.isoformat())}"
    return Period(first, end, words)
