"""Read a connection's schedule as Airbyte writes it. One that is odd in any way is none, and costs nothing else."""

import re
from functools import lru_cache

import msgspec
import structlog

from gateway.airbyte.schema import ConnectionRecord, ScheduleRecord
from gateway.models import BasicSchedule, CronSchedule, ManualSchedule, Schedule

UNIT_SECONDS = {"MINUTE": 60, "HOUR": 3600, "DAY": 86_400, "WEEK": 604_800, "MONTH": 2_592_000}
"""To Airbyte a month has 30 days."""
BASIC_TIMING = re.compile(r"Every ([1-9][0-9]{0,5}) (MINUTE|HOUR|DAY|WEEK|MONTH)S?", re.IGNORECASE)
CRON = re.compile(r"(?:[0-9A-Za-z*?,/#-]+ ){6,7}[A-Za-z0-9_+/:-]+")
"""The fields of Quartz, a year or none, and the time zone."""
LONGEST_CRON = 300
SHOWN = 100
"""Characters of an odd schedule that the log shows."""
KEPT_ODD = 256

log = structlog.get_logger()


def schedule_of(record: ConnectionRecord) -> Schedule | None:
    """Return the connection's schedule; None if Airbyte tells none, or one of a form that nobody knows: it is logged.

    What a field holds is not checked: a time that cannot be told is not told (`gateway.syncs.schedule`).
    """
    if record.schedule is None:
        return None
    try:
        told = msgspec.convert(record.schedule, ScheduleRecord)
    except msgspec.ValidationError:
        told = None
    schedule = None if told is None else _schedule_from(told)
    if schedule is None:
        _log_odd(repr(record.schedule)[:SHOWN])
    return schedule


def _schedule_from(told: ScheduleRecord) -> Schedule | None:
    if told.schedule_type == "manual":
        return ManualSchedule()
    if told.schedule_type == "basic" and (match := BASIC_TIMING.fullmatch(told.basic_timing or "")):
        return BasicSchedule(int(match[1]) * UNIT_SECONDS[match[2].upper()])
    cron = " ".join((told.cron_expression or "").split())
    if told.schedule_type == "cron" and len(cron) <= LONGEST_CRON and CRON.fullmatch(cron):
        return CronSchedule(cron)
    return None


@lru_cache(KEPT_ODD)
def _log_odd(schedule: str) -> None:
    """Log a schedule, once for all the connections and reads that have it."""
    log.warning("odd_schedule", schedule=schedule)
