"""An index of job ids by time."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from math import inf

Row = tuple[float, int]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time; both bounds belong to it."""

    start: float = -inf
    end: float = inf

    @property
    def is_bounded(self) -> bool:
        """Whether it leaves any time out."""
        return self.start != -inf or self.end != inf

    def __contains__(self, at: float) -> bool:
        return self.start <= at <= self.end


class TimeIndex:
    """Rows of (instant, job id). Sorted when first read after a change, so that bulk loading stays cheap."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._is_sorted = True

    def add(self, at: float, job_id: int) -> None:
        """Add a job, at a moment in epoch seconds."""
        row = (at, job_id)
        self._is_sorted = self._is_sorted and (not self._rows or self._rows[-1] < row)
        self._rows.append(row)

    def discard(self, job_ids: Collection[int]) -> None:
        """Forget the jobs."""
        self._rows = [row for row in self._rows if row[1] not in job_ids]

    def walk(self, span: Span, *, descending: bool) -> Iterator[Row]:
        """Yield the rows within the span."""
        if not self._is_sorted:
            self._rows.sort()
            self._is_sorted = True
        low = bisect_left(self._rows, (span.start, -1))
        high = bisect_right(self._rows, (span.end, inf))
        numbers = range(low, high)
        return (self._rows[number] for number in (reversed(numbers) if descending else numbers))
