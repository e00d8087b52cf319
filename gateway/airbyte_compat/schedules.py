"""Write when Airbyte begins the syncs of a connection by itself, as each of its APIs does."""

from collections.abc import Mapping

from gateway.models import BasicSchedule, CronSchedule, Schedule

HOUR, MINUTE = 3600, 60


def public_schedule(schedule: Schedule | None) -> Mapping[str, str]:
    """Return a schedule as the public API has it; one that is not known is `manual`, so that nobody expects a sync."""
    if isinstance(schedule, CronSchedule):
        return {"scheduleType": "cron", "cronExpression": schedule.cron}
    if isinstance(schedule, BasicSchedule):
        units, time_unit = _parts(schedule)
        return {"scheduleType": "basic", "basicTiming": f"Every {units} {time_unit.upper()}"}
    return {"scheduleType": "manual"}


def config_schedule(schedule: Schedule | None) -> Mapping[str, object]:
    """Return a schedule as the Config API has it, in one key or in several."""
    if isinstance(schedule, CronSchedule):
        expression, _, time_zone = schedule.cron.rpartition(" ")
        cron = {"cronExpression": expression, "cronTimeZone": time_zone}
        return {"scheduleType": "cron", "scheduleData": {"cron": cron}}
    if isinstance(schedule, BasicSchedule):
        units, time_unit = _parts(schedule)
        basic = {"timeUnit": time_unit, "units": units}
        return {"schedule": basic, "scheduleType": "basic", "scheduleData": {"basicSchedule": basic}}
    return {"scheduleType": "manual"}


def _parts(schedule: BasicSchedule) -> tuple[int, str]:
    """Return units and the time unit, the larger that leaves no rest."""
    if schedule.every_seconds % HOUR:
        return schedule.every_seconds // MINUTE, "minutes"
    return schedule.every_seconds // HOUR, "hours"
