"""Airbyte's formats, as tables."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sandbox.wire import duration, parse_timestamp, parse_uuid, timestamp


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (1_775_044_800, "2026-04-01T12:00Z"),
        (1_775_044_801, "2026-04-01T12:00:01Z"),
        (1_775_044_801.999, "2026-04-01T12:00:01Z"),
        (1_775_044_860, "2026-04-01T12:01Z"),
        (0, "1970-01-01T00:00Z"),
    ],
)
def test_a_timestamp_never_has_a_fraction_and_drops_zero_seconds(at: float, text: str) -> None:
    assert timestamp(at) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "PT0S"),
        (59, "PT59S"),
        (60, "PT1M"),
        (3_600, "PT1H"),
        (93_780, "PT26H3M"),
        (360_000, "PT100H"),
        (3_661, "PT1H1M1S"),
        (-1, "PT-1S"),
        (-61, "PT-1M-1S"),
    ],
)
def test_a_duration_knows_no_days(seconds: int, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-04-01T03:00:00Z", datetime(2026, 4, 1, 3, tzinfo=UTC)),
        ("2026-04-01T03:00Z", datetime(2026, 4, 1, 3, tzinfo=UTC)),
        ("2026-04-01T03:00:00.125Z", datetime(2026, 4, 1, 3, 0, 0, 125_000, tzinfo=UTC)),
        ("2026-04-01T03:00:00+02:00", datetime(2026, 4, 1, 1, tzinfo=UTC)),
        ("Wed, 1 Apr 2026 03:00:00 GMT", datetime(2026, 4, 1, 3, tzinfo=UTC)),
    ],
)
def test_reads_the_times_airbyte_reads(text: str, moment: datetime) -> None:
    assert parse_timestamp(text) == moment.timestamp()


@pytest.mark.parametrize(
    "text",
    [
        "1687450500000",
        "2026-04-01",
        "2026-04-01T03:00:00",
        "2026-04-01T03:00:00 02:00",
        "2026-13-01T00:00Z",
        "",
    ],
)
def test_refuses_the_times_airbyte_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_timestamp(text)


@given(st.integers(min_value=0, max_value=4_000_000_000))
def test_reads_back_every_time_it_writes(seconds: int) -> None:
    assert parse_timestamp(timestamp(seconds)) == seconds


def test_identifiers_are_read_as_leniently_as_java_reads_them() -> None:
    assert parse_uuid("1-1-1-1-1") == "00000001-0001-0001-0001-000000000001"
    assert parse_uuid("not-a-uuid") is None
    assert parse_uuid("") is None
