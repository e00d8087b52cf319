"""Airbyte's schedules as ours; an odd one is none, and is logged once."""

import pytest
from structlog.testing import capture_logs

from gateway.airbyte import ConnectionRecord, schedule_of
from gateway.airbyte.mapping import checked_connection
from gateway.airbyte.rows import PageDecoder
from gateway.models import BasicSchedule, CronSchedule, ManualSchedule, Schedule

UUID = "00000000-0000-4000-8000-000000000001"


def record_with(schedule: object) -> ConnectionRecord:
    return ConnectionRecord(UUID, "Shop", UUID, UUID, "active", schedule)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"scheduleType": "manual"}, ManualSchedule()),
        ({"scheduleType": "basic", "basicTiming": "Every 24 HOURS"}, BasicSchedule(86_400)),
        ({"scheduleType": "basic", "basicTiming": "Every 1 hours"}, BasicSchedule(3600)),
        ({"scheduleType": "basic", "basicTiming": "Every 5 MINUTES"}, BasicSchedule(300)),
        ({"scheduleType": "basic", "basicTiming": "Every 2 DAYS"}, BasicSchedule(172_800)),
        ({"scheduleType": "basic", "basicTiming": "Every 1 WEEKS"}, BasicSchedule(604_800)),
        ({"scheduleType": "basic", "basicTiming": "Every 1 MONTHS"}, BasicSchedule(2_592_000)),
        ({"scheduleType": "cron", "cronExpression": "0 0 12 * * ? UTC"}, CronSchedule("0 0 12 * * ? UTC")),
        (
            {"scheduleType": "cron", "cronExpression": "0 0  8 ? * MON-FRI 2026 Europe/Berlin"},
            CronSchedule("0 0 8 ? * MON-FRI 2026 Europe/Berlin"),
        ),
        (None, None),
    ],
)
def test_a_schedule_is_told_in_our_words(theirs: object, ours: Schedule | None) -> None:
    with capture_logs() as logs:
        assert schedule_of(record_with(theirs)) == ours

    assert logs == []


@pytest.mark.parametrize(
    "theirs",
    [
        *(7, "manual", [], {}, {"scheduleType": None}, {"scheduleType": "weekly"}, {"scheduleType": "basic"}),
        {"scheduleType": "basic", "basicTiming": "Every 0 HOURS"},
        {"scheduleType": "basic", "basicTiming": "Every 1e9 HOURS"},
        {"scheduleType": "basic", "basicTiming": 24},
        {"scheduleType": "cron"},
        {"scheduleType": "cron", "cronExpression": "0 12 * * *"},
        {"scheduleType": "cron", "cronExpression": "0 0 12 * * ? <script>"},
        {"scheduleType": "cron", "cronExpression": "0 0 12 * * ? UTC" + "," * 300},
    ],
)
def test_an_odd_schedule_is_none_and_is_logged_once(theirs: object) -> None:
    with capture_logs() as logs:
        schedules = [schedule_of(record_with(theirs)) for _ in range(3)]

    assert schedules == [None] * 3
    assert [log["event"] for log in logs] == ["odd_schedule"]


def test_an_odd_schedule_costs_no_row_of_a_page() -> None:
    row = b'{"connectionId":"%b","name":"Shop","sourceId":"%b","workspaceId":"%b","status":"active","schedule":%b}'
    uuid = UUID.encode()
    rows = [row % (uuid, uuid, uuid, schedule) for schedule in (b"7", b'{"scheduleType":[]}', b"null", b'"x"')]

    page = PageDecoder(ConnectionRecord, checked_connection).decode(b'{"data":[%b]}' % b",".join(rows))

    assert len(page.rows) == page.sent == 4
