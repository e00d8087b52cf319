"""How times, sizes and counts are said."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.dashboard import humanize
from gateway.times import format_time, seconds_of

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (59, "just now"),
        (59.6, "1 minute ago"),
        (60, "1 minute ago"),
        (119, "1 minute ago"),
        (120, "2 minutes ago"),
        (3599, "59 minutes ago"),
        (3600, "1 hour ago"),
        (7200, "2 hours ago"),
        (86_399, "23 hours ago"),
        (86_400, "1 day ago"),
        (86_400 * 400, "400 days ago"),
        (-30, "just now"),
        (-60, "in 1 minute"),
        (-61, "in 2 minutes"),
        (-3_599, "in 1 hour"),
        (-86_399, "in 1 day"),
        (-86_400 - 1, "in 2 days"),
        (-86_400 * 7 + 1, "in 7 days"),
        (-86_400 * 6, "in 6 days"),
        (-86_400 * 30 + 3, "in 30 days"),
        (-86_400 * 90, "in 90 days"),
    ],
)
def test_how_long_ago(seconds: float, words: str) -> None:
    assert humanize.ago(format_time(NOW - timedelta(seconds=seconds)), NOW) == words


def test_a_moment_is_told_to_the_minute_in_utc() -> None:
    assert humanize.moment("2026-11-03T03:05:59.999Z") == "3 Nov 2026, 03:05 UTC"


def test_what_there_is_not_is_a_dash_and_never() -> None:
    assert humanize.ago(None, NOW) == "never"
    assert {humanize.moment(None), humanize.count(None), humanize.size(None), humanize.duration(None)} == {"—"}


@pytest.mark.parametrize(("number", "words"), [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")])
def test_counts_have_their_thousands_apart(number: int, words: str) -> None:
    assert humanize.count(number) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1_550, "1.6 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (1_048_576, "1.0 MB"),
        (3 * 10**9, "3.0 GB"),
        (4 * 10**12, "4.0 TB"),
        (5 * 10**15, "5.0 PB"),
        (6 * 10**18, "6000.0 PB"),
    ],
)
def test_sizes_have_one_decimal_and_the_unit_that_fits(number: int, words: str) -> None:
    assert humanize.size(number) == words


@pytest.mark.parametrize(
    ("text", "seconds", "words"),
    [
        ("PT0S", 0, "0 s"),
        ("PT40S", 40, "40 s"),
        ("PT40.999S", 40, "40 s"),
        ("PT2M", 120, "2 min 0 s"),
        ("PT2M14S", 134, "2 min 14 s"),
        ("PT1H2M3S", 3723, "1 h 2 min"),
        ("PT36H", 129_600, "36 h 0 min"),
        ("P1D", 86_400, "24 h 0 min"),
        ("P1DT1H", 90_000, "25 h 0 min"),
    ],
)
def test_durations_are_told_in_their_two_largest_units(text: str, seconds: int, words: str) -> None:
    assert seconds_of(text) == seconds
    assert humanize.duration(text) == words


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "P1DT", "1H", "PT-5S", "PT1.5H", "PTS", "P1M", "PT1S ", "PT٣S", f"PT{'9' * 5000}S"]
)
def test_a_duration_that_is_not_understood_is_a_dash(text: str) -> None:
    assert seconds_of(text) is None
    assert humanize.duration(text) == "—"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "1 second"),
        (90, "90 seconds"),
        (60, "1 minute"),
        (5400, "90 minutes"),
        (3600, "1 hour"),
        (86_400, "24 hours"),
        (172_800, "2 days"),
    ],
)
def test_an_interval_is_told_in_its_largest_whole_unit(seconds: int, words: str) -> None:
    assert humanize.interval(seconds) == words
