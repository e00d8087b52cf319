"""The days that a page shows, as its address says them: `?from=2026-11-01&to=2026-11-30`, both included, in UTC."""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Self

import msgspec
from starlette.requests import Request

from gateway.errors import BadRequest

WRONG_DATE = "from and to must be dates, such as 2026-11-30"
WRONG_ORDER = "from must not be later than to"
ONE_DAY = timedelta(days=1)
_WRITTEN = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
"""Python reads more forms of ISO 8601 than browsers show in a field for dates."""


class DateRange(msgspec.Struct, frozen=True):
    """Whole days; None at an end that is open."""

    first: date | None = None
    last: date | None = None

    @classmethod
    def of(cls, request: Request) -> Self:
        """Return the range in the address. Raises BadRequest."""
        first, last = (_date(request.query_params.get(name, "")) for name in ("from", "to"))
        if first and last and first > last:
            raise BadRequest(WRONG_ORDER)
        return cls(first, last)

    def __bool__(self) -> bool:
        """Return whether the address limits the days at all."""
        return self.first is not None or self.last is not None

    @property
    def since(self) -> datetime | None:
        """When it begins."""
        return None if self.first is None else datetime.combine(self.first, time(), UTC)

    @property
    def before(self) -> datetime | None:
        """When the day after it begins."""
        return None if self.last is None else datetime.combine(self.last, time(), UTC) + ONE_DAY

    @property
    def query(self) -> dict[str, str]:
        """The parameters that lead to it."""
        ends = {"from": self.first, "to": self.last}
        return {name: day.isoformat() for name, day in ends.items() if day is not None}


def _date(text: str) -> date | None:
    if not text:
        return None
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise BadRequest(WRONG_DATE) from None
    if not _WRITTEN.fullmatch(text) or not date(1970, 1, 1) <= found < date.max:
        raise BadRequest(WRONG_DATE)
    return found
