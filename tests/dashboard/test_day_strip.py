"""The picture of thirty days and its words."""

from datetime import date

import pytest

from gateway.dashboard.day_strip import OUTCOMES, day_strip, outcome
from gateway.models import SyncDay

TODAY = date(2026, 4, 1)


def a_day(succeeded: int, failed: int, other: int, day: str = "2026-04-01") -> SyncDay:
    return SyncDay("airbyte-1", day, succeeded, failed, other, rows=0, bytes=0)


@pytest.mark.parametrize(
    ("counts", "name"),
    [
        ((3, 0, 0), "succeeded"),
        ((3, 0, 1), "succeeded"),
        ((3, 1, 0), "partly"),
        ((3, 1, 1), "partly"),
        ((0, 1, 0), "failed"),
        ((0, 1, 1), "failed"),
        ((0, 0, 1), "other"),
        ((0, 0, 0), "none"),
    ],
)
def test_a_day_has_one_of_five_outcomes(counts: tuple[int, int, int], name: str) -> None:
    assert outcome(a_day(*counts)) == name
    assert name in OUTCOMES


def test_thirty_days_end_with_today() -> None:
    days = {"2026-04-01": a_day(1, 0, 0), "2026-03-03": a_day(0, 1, 0), "2026-03-02": a_day(5, 5, 5)}

    cells = day_strip(days, TODAY).cells

    assert len(cells) == 30
    assert (cells[0].outcome, cells[0].words) == ("failed", "3 Mar: 1 failed")
    assert (cells[-1].outcome, cells[-1].words) == ("succeeded", "1 Apr: 1 succeeded")
    assert {cell.outcome for cell in cells[1:-1]} == {"none"}
    assert [cell.x for cell in cells] == list(range(0, 300, 10))


def test_a_cell_counts_what_happened() -> None:
    (*_, cell) = day_strip({"2026-04-01": a_day(1_234, 2, 1)}, TODAY).cells

    assert cell.words == "1 Apr: 1,234 succeeded, 2 failed, 1 cancelled or not finished"


@pytest.mark.parametrize(
    ("days", "totals", "words"),
    [
        ([], "no syncs", "Last 30 days: no syncs. No sync on 30 days."),
        (
            [a_day(1, 0, 0)],
            "1 sync, none failed",
            "Last 30 days: 1 sync, none failed. All succeeded on 1 day, no sync on 29 days.",
        ),
        (
            [
                a_day(2, 0, 0),
                a_day(1, 1, 0, "2026-03-31"),
                a_day(0, 3, 0, "2026-03-30"),
                a_day(0, 0, 1, "2026-03-29"),
                a_day(1, 0, 0, "2026-03-28"),
            ],
            "9 syncs, 4 failed",
            (
                "Last 30 days: 9 syncs, 4 failed. All succeeded on 2 days, some failed on 1 day, all failed on 1 day, "
                "cancelled or not finished on 1 day, no sync on 25 days."
            ),
        ),
    ],
)
def test_the_words_say_what_is_seen(days: list[SyncDay], totals: str, words: str) -> None:
    strip = day_strip({day.day: day for day in days}, TODAY)

    assert (strip.totals, strip.words) == (totals, words)
