"""What the address of an activity page asks for: the entries of a person, an action, some days, in UTC."""

import re
from datetime import datetime

import msgspec
from starlette.requests import Request

from gateway.dashboard.date_range import DateRange
from gateway.dashboard.paging import LONGEST_QUERY
from gateway.store import ActivityFilter
from gateway.times import format_time

ACTION = re.compile(r"[a-z.-]{1,60}")


class Asked(msgspec.Struct, frozen=True):
    """The fields of the form, empty where nothing is asked for."""

    person: str = ""
    action: str = ""
    dates: DateRange = DateRange()

    def filter(self, operator: str = "") -> ActivityFilter:
        """Return what the store is asked for; `operator` stands for the names of the operator's people."""
        return ActivityFilter(
            person=self.person,
            action=self.action,
            since=_text(self.dates.since),
            until=_text(self.dates.before),
            operator=operator,
        )

    def __bool__(self) -> bool:
        return self != Asked()


def asked_of(request: Request) -> Asked:
    """Return what the address asks for. Raises BadRequest for days that are none."""
    parameters = request.query_params
    action = parameters.get("action", "")
    return Asked(
        person=parameters.get("person", "").strip()[:LONGEST_QUERY],
        action=action if ACTION.fullmatch(action) else "",
        dates=DateRange.of(request),
    )


def _text(time: datetime | None) -> str:
    return "" if time is None else format_time(time)
