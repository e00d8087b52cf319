"""What the address of an activity page asks for: the entries of a person, an action, some days, in UTC."""

import re
from collections.abc import Mapping
from datetime import date, timedelta

import msgspec

from gateway.dashboard.paging import LONGEST_QUERY
from gateway.errors import BadRequest
from gateway.store import ActivityFilter

ACTION = re.compile(r"[a-z.-]{1,60}")
WRITTEN_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


class Asked(msgspec.Struct, frozen=True):
    """The fields of the form, empty where nothing is asked for; the days as `2026-11-30`, the last one included."""

    person: str = ""
    action: str = ""
    first: str = ""
    last: str = ""

    def filter(self, operator: str = "") -> ActivityFilter:
        """Return what the store is asked for; `operator` stands for the names of the operator's people."""
        return ActivityFilter(
            person=self.person,
            action=self.action,
            since=_midnight(self.first),
            until=_midnight(self.last, days_later=1),
            operator=operator,
        )

    def __bool__(self) -> bool:
        return self != Asked()


def asked_of(parameters: Mapping[str, str]) -> Asked:
    """Return what the address asks for. Raises BadRequest for days that are none."""
    action = parameters.get("action", "")
    return Asked(
        person=parameters.get("person", "").strip()[:LONGEST_QUERY],
        action=action if ACTION.fullmatch(action) else "",
        first=_day(parameters.get("from", "")),
        last=_day(parameters.get("to", "")),
    )


def _day(text: str) -> str:
    if not text:
        return ""
    try:
        if WRITTEN_DAY.fullmatch(text):
            return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    raise BadRequest("A day is written like 2026-11-30")


def _midnight(day: str, *, days_later: int = 0) -> str:
    """Return when the day began, as the log writes times; empty for no day, and after the last there is."""
    try:
        begin = date.fromisoformat(day) + timedelta(days=days_later) if day else None
    except OverflowError:
        begin = None
    return f"{begin}T00:00:00.000Z" if begin else ""
