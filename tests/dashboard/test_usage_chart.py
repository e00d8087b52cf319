"""Where the bars of the usage chart stand, and what they say."""

from datetime import UTC, datetime

import pytest

from gateway.dashboard.usage_chart import HEIGHT, LAST_DAY, LAST_MONTH, LEAST, ROOM, STEP, Part, Period, usage_chart
from gateway.models import HourUsage

NOW = datetime(2026, 4, 1, 3, 20, tzinfo=UTC)
FIELD = HEIGHT - ROOM


def hour(text: str, calls: int = 1, limited: int = 0, errors: int = 0) -> HourUsage:
    return HourUsage(f"{text}:00:00.000Z", calls, limited, errors)


@pytest.mark.parametrize(
    ("period", "begin", "first", "last"),
    [
        (LAST_DAY, "2026-03-31T04:00", "04:00", "03:00"),
        (LAST_MONTH, "2026-03-03T00:00", "3 Mar", "1 Apr"),
    ],
)
def test_a_period_ends_with_the_present_hour_or_day(period: Period, begin: str, first: str, last: str) -> None:
    chart = usage_chart(period, [], NOW)

    assert period.begin(NOW).isoformat()[:16] == begin
    assert len(chart.bars) == period.number
    assert (chart.bars[0].begin, chart.bars[-1].begin) == (first, last)
    assert chart.dates[0] == first
    assert chart.dates[-1] == last
    assert chart.width == period.number * STEP - 2


@pytest.mark.parametrize(
    ("period", "text", "index"),
    [
        (LAST_DAY, "2026-04-01T03", 23),
        (LAST_DAY, "2026-04-01T02", 22),
        (LAST_DAY, "2026-03-31T04", 0),
        (LAST_DAY, "2026-03-31T03", None),
        (LAST_DAY, "2026-04-01T04", None),
        (LAST_MONTH, "2026-04-01T00", 29),
        (LAST_MONTH, "2026-03-31T23", 28),
        (LAST_MONTH, "2026-03-03T00", 0),
        (LAST_MONTH, "2026-03-02T23", None),
    ],
)
def test_an_hour_counts_in_the_bar_it_lies_in(period: Period, text: str, index: int | None) -> None:
    chart = usage_chart(period, [hour(text, 5)], NOW)

    assert [place for place, bar in enumerate(chart.bars) if bar.calls] == ([] if index is None else [index])
    assert chart.calls == (0 if index is None else 5)


def test_the_hours_of_a_day_are_added() -> None:
    chart = usage_chart(LAST_MONTH, [hour("2026-03-31T00", 10, 1, 2), hour("2026-03-31T23", 20, 3, 4)], NOW)

    assert chart.bars[28].words == "31 Mar: 30 calls, 4 limited, 6 errors"
    assert (chart.calls, chart.limited, chart.errors) == (30, 4, 6)


@pytest.mark.parametrize(
    ("calls", "limited", "errors", "parts"),
    [
        (10, 0, 0, [("answered", FIELD)]),
        (10, 10, 0, [("limited", FIELD)]),
        (10, 5, 5, [("errors", FIELD / 2), ("limited", FIELD / 2)]),
        (10, 3, 2, [("errors", FIELD * 0.2), ("answered", FIELD * 0.5), ("limited", FIELD * 0.3)]),
        (10_000, 1, 1, [("errors", LEAST), ("answered", FIELD), ("limited", LEAST)]),
        (0, 0, 0, []),
    ],
)
def test_a_bar_is_stacked_from_the_bottom_and_nothing_is_too_low_to_be_seen(
    calls: int, limited: int, errors: int, parts: list[tuple[str, float]]
) -> None:
    chart = usage_chart(LAST_DAY, [hour("2026-03-31T06", calls, limited, errors)], NOW)

    assert [part.kind for part in chart.parts] == [kind for kind, _ in parts]
    assert [part.height for part in chart.parts] == pytest.approx([height for _, height in parts], abs=0.1)
    bottom = float(HEIGHT)
    for part in chart.parts:
        assert part.x == 2 * STEP
        assert part.y + part.height == pytest.approx(bottom)
        bottom = part.y
    assert bottom >= 0


@pytest.mark.parametrize(
    ("most", "top", "middle"), [(1, "2", "1"), (7, "8", "4"), (130, "200", "100"), (4100, "6k", "3k")]
)
def test_the_axis_ends_at_a_round_number(most: int, top: str, middle: str) -> None:
    chart = usage_chart(LAST_DAY, [hour("2026-04-01T03", most)], NOW)

    assert (chart.top, chart.middle) == (top, middle)


def test_bars_are_as_high_as_the_axis_says() -> None:
    chart = usage_chart(LAST_DAY, [hour("2026-04-01T02", 100), hour("2026-04-01T03", 50)], NOW)

    assert chart.parts == [
        Part("answered", 22 * STEP, ROOM, FIELD),
        Part("answered", 23 * STEP, ROOM + FIELD / 2, FIELD / 2),
    ]


@pytest.mark.parametrize(
    ("period", "hours", "words"),
    [
        (LAST_DAY, [], "Calls by hour, last 24 hours: none."),
        (
            LAST_DAY,
            [hour("2026-04-01T02", 1200), hour("2026-04-01T03", 5)],
            "Calls by hour, last 24 hours, most in the hour of 02:00 with 1,200.",
        ),
        (LAST_MONTH, [hour("2026-03-31T02", 7)], "Calls by day, last 30 days, most in the day of 31 Mar with 7."),
    ],
)
def test_the_picture_is_put_in_words(period: Period, hours: list[HourUsage], words: str) -> None:
    assert usage_chart(period, hours, NOW).words == words


@pytest.mark.parametrize(
    ("calls", "limited", "errors", "words"),
    [
        (0, 0, 0, "03:00: 0 calls"),
        (1, 0, 0, "03:00: 1 call"),
        (1234, 5, 0, "03:00: 1,234 calls, 5 limited"),
        (2, 0, 1, "03:00: 2 calls, 1 error"),
        (9, 2, 3, "03:00: 9 calls, 2 limited, 3 errors"),
    ],
)
def test_a_bar_is_put_in_words(calls: int, limited: int, errors: int, words: str) -> None:
    chart = usage_chart(LAST_DAY, [hour("2026-04-01T03", calls, limited, errors)], NOW)

    assert chart.bars[-1].words == words
