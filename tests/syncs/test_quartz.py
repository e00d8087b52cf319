"""When Quartz expressions come true. What is expected here is what Quartz 2.3.2 itself answers."""

from datetime import UTC, datetime, timedelta

from gateway.syncs.quartz import next_time
from gateway.times import parse_time


def at(text: str) -> datetime:
    return parse_time(f"{text}Z")


NEXT = [
    ("2026-04-01T03:00", "0 0 12 * * ? UTC", "2026-04-01T12:00:00"),
    ("2026-04-01T12:00", "0 0 12 * * ? UTC", "2026-04-02T12:00:00"),
    ("2026-04-01T03:00", "0 0 12 * * ? * UTC", "2026-04-01T12:00:00"),
    ("2026-04-01T03:00", "0 0/15 8-17 ? * MON-FRI Europe/Berlin", "2026-04-01T06:00:00"),
    ("2026-04-03T16:00", "0 0/15 8-17 ? * MON-FRI Europe/Berlin", "2026-04-06T06:00:00"),
    ("2026-04-01T03:00", "0 0 6 ? * 1 UTC", "2026-04-05T06:00:00"),
    ("2026-04-01T03:00", "0 0 6 ? * 7 UTC", "2026-04-04T06:00:00"),
    ("2026-04-01T03:00", "0 0 6 ? * sun,WED UTC", "2026-04-01T06:00:00"),
    ("2026-04-01T03:00", "0 0 6 ? * 2-4 UTC", "2026-04-01T06:00:00"),
    ("2026-04-01T03:00", "0 0 6 ? * 6L UTC", "2026-04-24T06:00:00"),
    ("2026-04-01T03:00", "0 0 6 ? * FRIL UTC", "2026-04-24T06:00:00"),
    ("2026-04-01T03:00", "0 0 6 ? * 6#3 UTC", "2026-04-17T06:00:00"),
    ("2026-04-01T03:00", "0 0 6 ? * MON#1 UTC", "2026-04-06T06:00:00"),
    ("2026-04-01T03:00", "0 0 6 L * ? UTC", "2026-04-30T06:00:00"),
    ("2026-04-01T03:00", "0 0 6 LW * ? UTC", "2026-04-30T06:00:00"),
    ("2026-04-01T03:00", "0 0 6 1/1 * ? UTC", "2026-04-01T06:00:00"),
    ("2026-04-01T03:00", "0 0 6 1,15 JAN-MAR ? UTC", "2027-01-01T06:00:00"),
    ("2026-04-01T03:00", "30 5/20 * * * ? Asia/Kolkata", "2026-04-01T03:15:30"),
    ("2026-04-01T03:00", "*/10 * * * * ? UTC", "2026-04-01T03:00:10"),
    ("2026-04-01T03:00", "0 30 0 ? * * America/Sao_Paulo", "2026-04-01T03:30:00"),
    ("2026-04-01T03:00", "0 0 0 29 2 ? UTC", "2028-02-29T00:00:00"),
    ("2026-04-01T03:00", "0 0 0 ? 2 2#5 UTC", "2044-02-29T00:00:00"),
    ("2026-10-01T03:00", "0 0 2 1 12 ? Europe/Berlin", "2026-12-01T01:00:00"),
    ("2026-03-28T23:00", "0 0 9 * * ? Europe/Berlin", "2026-03-29T07:00:00"),
    ("2026-03-28T10:00", "0 0 9 * * ? Europe/Berlin", "2026-03-29T07:00:00"),
    ("2026-10-24T10:00", "0 0 9 * * ? Europe/Berlin", "2026-10-25T08:00:00"),
    ("2026-10-25T10:00", "0 0 9 * * ? Europe/Berlin", "2026-10-26T08:00:00"),
    ("2026-04-04T10:00", "0 0 10 * * ? Australia/Lord_Howe", "2026-04-04T23:30:00"),
]


def test_the_next_time_is_quartz_s() -> None:
    assert [(after, cron, next_time(cron, at(after))) for after, cron, _ in NEXT] == [
        (after, cron, at(expected)) for after, cron, expected in NEXT
    ]


UNCERTAIN = [
    "0 0 12 15W * ? UTC",
    "0 0 12 L-3 * ? UTC",
    "0 0 12 ? * */2 UTC",
    "0 0 12 ? * 2/2 UTC",
    "0 0 12 ? * FRI-MON UTC",
    "0 0 22-6 * * ? UTC",
    "0 0 12 9-9/2 * ? UTC",
    "0 0 12 1 JAN/3 ? UTC",
    "0 0 12 * * ? 2027 UTC",
    "0 0 12 * * * UTC",
    "0 0 12 ? * ? UTC",
    "0 0 12 1 * MON UTC",
    "0 0 12 ? * 8 UTC",
    "0 0 12 ? * 0 UTC",
    "0 0 12 ? * MOO UTC",
    "0 0 25 * * ? UTC",
    "0 0 0 30 2 ? UTC",
    "0 0 12 * * ? Nowhere/Atall",
    "0 0 12 * * ? ../../etc/passwd",
    "0 0 12 * * ? /etc/passwd",
    "0 0 12 * * ? Europe",
    "0 0 12 * * ? +01:00",
]


def test_what_cannot_be_told_for_certain_has_no_time() -> None:
    assert {cron: next_time(cron, at("2026-04-01T03:00")) for cron in UNCERTAIN} == dict.fromkeys(UNCERTAIN)


NEAR_A_CHANGE = [
    ("2026-03-28T23:00", "0 30 2 * * ? Europe/Berlin"),  # 2:30 does not come on that day
    ("2026-10-24T23:00", "0 30 2 * * ? Europe/Berlin"),  # 2:30 comes twice
    ("2026-10-25T00:30", "0 0 * * * ? Europe/Berlin"),
]


def test_near_a_change_of_the_clocks_there_is_no_time() -> None:
    assert [(after, cron) for after, cron in NEAR_A_CHANGE if next_time(cron, at(after)) is not None] == []


PAST_A_CHANGE = [
    ("2026-03-28T23:00", "0 30 2 * * ? Europe/Berlin", "2026-03-30T00:30:00"),
    ("2026-03-27T23:00", "0 0 0 * * ? Europe/Berlin", "2026-03-29T22:00:00"),
    ("2026-03-28T23:05", "0 0/10 * * * ? Europe/Berlin", "2026-03-29T04:00:00"),
    ("2026-04-01T03:00", "0 0 12 * * ? UTC", "2026-04-01T12:00:00"),
]


def test_the_first_certain_time_is_past_a_change_of_the_clocks() -> None:
    assert [(after, cron, next_time(cron, at(after), past_changes=True)) for after, cron, _ in PAST_A_CHANGE] == [
        (after, cron, at(expected)) for after, cron, expected in PAST_A_CHANGE
    ]


def test_what_comes_true_at_changes_of_the_clocks_alone_has_no_certain_time() -> None:
    assert next_time("0 30 2 ? 3 1L Europe/Berlin", at("2026-01-01T00:00"), past_changes=True) is None


def test_a_daily_time_keeps_its_hour_on_the_wall_through_the_year() -> None:
    moment = at("2026-01-01T00:00")
    hours = set()
    for _ in range(300):
        found = next_time("0 0 9 * * ? Europe/Berlin", moment)
        assert found is not None
        assert timedelta(hours=7) < found - moment <= timedelta(hours=25)
        hours.add(found.astimezone(UTC).hour)
        moment = found

    assert hours == {7, 8}


def test_beyond_the_calendar_there_is_no_time() -> None:
    assert next_time("0 0 9 * * ? UTC", datetime.max.replace(tzinfo=UTC)) is None
