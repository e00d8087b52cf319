"""When a connection's next sync is due, and whether it is late."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from gateway.models import BasicSchedule, Connection, CronSchedule, ManualSchedule
from gateway.syncs.schedule import expected_sync
from gateway.times import parse_time

GRACE = timedelta(minutes=15)
EVERY_HOUR = BasicSchedule(3600)
AT_NOON = CronSchedule("0 0 12 * * ? UTC")
EVERY_FIVE_MINUTES = CronSchedule("0 0/5 * * * ? UTC")


def day_time(text: str) -> str:
    return f"2026-04-{text.replace(' ', 'T')}:00.000Z"


def connection(**fields: Any) -> Connection:
    """One that is active and mapped; times are `day hour:minute` of April."""
    times = {"last_sync_at", "last_ended_at", "schedule_since"}
    known: dict[str, Any] = {
        "airbyte_id": "airbyte",
        "status": "active",
        "schedule_since": "01 00:00",
        "last_sync_status": None,
    }
    told: dict[str, Any] = {
        name: day_time(value) if name in times else value for name, value in {**known, **fields}.items()
    }
    return Connection("conn_1", 1, "shopify", "Shop", created_at=day_time("01 00:00"), **told)


def expected(now: str, **fields: Any) -> tuple[str | None, bool]:
    sync = expected_sync(connection(**fields), now=parse_time(day_time(now)), grace=GRACE)
    return None if sync.at is None else f"{sync.at:%d %H:%M}", sync.is_late


@pytest.mark.parametrize(
    ("schedule", "last", "due"),
    [
        (EVERY_HOUR, {"last_sync_at": "02 10:00", "last_ended_at": "02 10:20"}, "02 11:00"),
        (EVERY_HOUR, {"last_sync_at": "02 10:00", "last_ended_at": "02 12:30"}, "02 12:30"),
        (EVERY_HOUR, {}, "01 00:00"),
        (EVERY_HOUR, {"last_sync_at": "02 10:00", "schedule_since": "05 08:00"}, "05 08:00"),
        (AT_NOON, {"last_sync_at": "02 10:00", "last_ended_at": "02 10:20"}, "02 12:00"),
        (AT_NOON, {"last_sync_at": "02 10:00", "last_ended_at": "02 12:30"}, "03 12:00"),
        (AT_NOON, {"last_sync_at": "02 11:59"}, "03 12:00"),
        (AT_NOON, {}, "01 12:00"),
        (AT_NOON, {"last_sync_at": "02 10:00", "schedule_since": "05 13:00"}, "06 12:00"),
    ],
)
def test_the_next_sync_is_due_when_airbyte_begins_it(
    schedule: BasicSchedule | CronSchedule, last: dict[str, str], due: str
) -> None:
    status = "succeeded" if last else None

    assert expected("01 00:00", schedule=schedule, last_sync_status=status, **last) == (due, False)


@pytest.mark.parametrize("schedule", [EVERY_HOUR, CronSchedule("0 0 11 * * ? UTC")])
def test_a_sync_is_late_once_its_grace_is_over(schedule: BasicSchedule | CronSchedule) -> None:
    last = {"last_sync_at": "02 10:00", "last_ended_at": "02 10:20", "last_sync_status": "failed"}

    assert expected("02 11:15", schedule=schedule, **last) == ("02 11:00", False)
    assert expected("02 11:16", schedule=schedule, **last) == ("02 11:00", True)


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "inactive"},
        {"status": "locked"},
        {"status": "deprecated"},
        {"status": "pending", "airbyte_id": None},
        {"schedule": ManualSchedule()},
        {"schedule": None},
        {"schedule": CronSchedule("0 0 12 15W * ? UTC")},
    ],
)
def test_what_airbyte_does_not_begin_by_itself_or_nobody_knows_is_never_late(fields: dict[str, Any]) -> None:
    assert expected("20 00:00", **{"schedule": EVERY_HOUR, **fields}) == (None, False)


@pytest.mark.parametrize("status", ["pending", "running", "queued", "incomplete", "a_newer_word"])
def test_a_sync_under_way_is_not_late_and_the_next_one_waits_for_it(status: str) -> None:
    last = {"last_sync_at": "02 10:00", "last_ended_at": "02 09:00", "last_sync_status": status}

    assert expected("02 10:30", schedule=EVERY_HOUR, **last) == ("02 11:00", False)
    assert expected("02 13:12", schedule=EVERY_HOUR, **last) == (None, False)
    assert expected("02 13:12", schedule=EVERY_FIVE_MINUTES, **last) == ("02 13:15", False)


def test_a_schedule_that_is_weeks_old_ends_before_the_calendar_does() -> None:
    forever = BasicSchedule(999_999 * 2_592_000)

    assert expected("20 00:00", schedule=forever, last_sync_at="02 10:00", last_sync_status="failed")[1] is False


@pytest.mark.parametrize("schedule", [EVERY_HOUR, AT_NOON])
def test_before_a_last_sync_s_end_is_known_nothing_is_late(schedule: BasicSchedule | CronSchedule) -> None:
    last = {"last_sync_at": "02 10:00", "last_sync_status": "succeeded"}

    assert expected("05 12:00", schedule=schedule, **last)[1] is False
    assert expected("05 12:00", schedule=schedule, last_ended_at="02 10:20", **last)[1] is True


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-03-29T03:00:00Z", (None, False)),
        ("2026-03-29T22:15:00Z", (None, False)),
        ("2026-03-29T22:16:00Z", (parse_time("2026-03-29T22:00:00Z"), True)),
        ("2026-04-20T00:00:00Z", (parse_time("2026-03-29T22:00:00Z"), True)),
    ],
)
def test_a_sync_due_near_a_change_of_the_clocks_is_late_from_the_next_certain_time_on(
    now: str, due: tuple[datetime | None, bool]
) -> None:
    nightly = msgspec.structs.replace(
        connection(schedule=CronSchedule("0 0 0 * * ? Europe/Berlin"), last_sync_status="succeeded"),
        schedule_since="2026-01-01T00:00:00.000Z",
        last_sync_at="2026-03-27T23:00:00.000Z",
        last_ended_at="2026-03-27T23:10:00.000Z",
    )

    sync = expected_sync(nightly, now=parse_time(now), grace=GRACE)

    assert (sync.at, sync.is_late) == due
