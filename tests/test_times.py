"""The one time format, and Airbyte's."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from gateway.times import format_time, later, normalise_time, parse_duration, parse_time

FORMS = {
    "2026-04-01T03:00Z": "2026-04-01T03:00:00.000Z",
    "2026-04-01T03:00:01Z": "2026-04-01T03:00:01.000Z",
    "2026-04-01T03:00:01.5Z": "2026-04-01T03:00:01.500Z",
    "2026-04-01T03:00:01.123Z": "2026-04-01T03:00:01.123Z",
    "2026-04-01T03:00:01.123456Z": "2026-04-01T03:00:01.123Z",
    "2026-04-01T03:00:01.999999999Z": "2026-04-01T03:00:01.999Z",
    "2026-04-01T03:00+02:00": "2026-04-01T01:00:00.000Z",
    "2026-04-01T03:00:01-05:30": "2026-04-01T08:30:01.000Z",
    "2026-01-01T00:30+01:00": "2025-12-31T23:30:00.000Z",
    "0999-01-01T00:00Z": "0999-01-01T00:00:00.000Z",
}


def test_every_form_airbyte_writes_becomes_ours() -> None:
    assert {airbyte: normalise_time(airbyte) for airbyte in FORMS} == FORMS


NO_TIMES = [
    "",
    "yesterday",
    "2026-04-01",
    "2026-04-01T03:00",
    "2026-04-01T03:00:00",
    "2026-13-01T03:00Z",
    "2026-04-31T03:00Z",
    "2026-04-01T25:00Z",
    "1775012400",
    "2026-04-01T03:00:00Z; DROP TABLE clients",
    "2026-04-01T03:00Z\n",
    "2026-04-01T00:00:Z\x00Z",
    "0001-01-01T00:00+14:00",
    "9999-12-31T23:59:59-14:00",
]


def refusal_of(parse: Callable[[str], object], text: str) -> str | None:
    """What is said of a text; None if it can be read."""
    try:
        parse(text)
    except ValueError as refusal:
        return str(refusal)
    return None


def test_a_time_without_offset_or_sense_is_refused() -> None:
    assert [text for text in NO_TIMES if not refusal_of(normalise_time, text)] == []


@given(st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis adds the zone
def test_a_written_time_reads_back_to_its_millisecond(moment: datetime) -> None:
    written = format_time(moment)

    assert parse_time(written) == moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    assert normalise_time(written) == written


@given(*[st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC))] * 2)  # noqa: DTZ001 - ditto
def test_written_times_sort_like_the_times_they_name(one: datetime, other: datetime) -> None:
    assert (one <= other) <= (format_time(one) <= format_time(other))


def test_a_time_in_another_zone_is_written_in_utc() -> None:
    moment = datetime(2026, 4, 1, 5, 0, 0, 7999, tzinfo=timezone(timedelta(hours=2)))

    assert format_time(moment) == "2026-04-01T03:00:00.007Z"


DURATIONS = {
    "45s": timedelta(seconds=45),
    "30m": timedelta(minutes=30),
    "24h": timedelta(hours=24),
    "90d": timedelta(days=90),
    "2w": timedelta(weeks=2),
    "999999s": timedelta(seconds=999_999),
}


def test_a_duration_is_a_number_and_a_unit() -> None:
    assert {text: parse_duration(text) for text in DURATIONS} == DURATIONS


NO_DURATIONS = ["", "90", "d", "0s", "-1d", "1.5h", "1 d", "90D", "1d\n", "٣d", "1000000s", "1d2h"]


def test_anything_else_is_no_duration() -> None:
    advice = "a whole number and one of s, m, h, d, w, for example 90d"

    assert [text for text in NO_DURATIONS if advice not in (refusal_of(parse_duration, text) or "")] == []


def test_later_than_the_calendar_is_its_last_moment() -> None:
    moment = datetime(9999, 12, 30, tzinfo=UTC)

    assert format_time(later(moment, timedelta(hours=1))) == "9999-12-30T01:00:00.000Z"
    assert format_time(later(moment, timedelta(days=2))) == "9999-12-31T23:59:59.999Z"


@given(st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis adds the zone
def test_what_airbyte_writes_of_a_whole_second_is_read_as_any_other_form_is(moment: datetime) -> None:
    second = moment.replace(microsecond=0)
    texts = {f"{second:%Y-%m-%dT%H:%M:%S}Z", *([f"{second:%Y-%m-%dT%H:%M}Z"] if not second.second else [])}

    assert {normalise_time(text) for text in texts} == {format_time(second)}
