"""Schedules as the Config API shows them; the public API has one line of text for each."""

from collections.abc import Mapping

# Airbyte's units, by the word of the public API's "Every 6 HOURS".
TIME_UNITS = {"MINUTES", "HOURS", "DAYS", "WEEKS", "MONTHS"}


def schedule_data(schedule: Mapping[str, str]) -> dict[str, object] | None:
    """Return the parts of a basic or a cron schedule; None for a manual one."""
    if "cronExpression" in schedule:
        expression, _, time_zone = schedule["cronExpression"].rpartition(" ")
        return {"cron": {"cronExpression": expression, "cronTimeZone": time_zone}}
    basic = basic_schedule(schedule)
    return None if basic is None else {"basicSchedule": basic}


def basic_schedule(schedule: Mapping[str, str]) -> dict[str, object] | None:
    """Return units and time unit of a basic schedule; None for the others."""
    if "basicTiming" not in schedule:
        return None
    _, units, time_unit = schedule["basicTiming"].split(" ")
    assert time_unit in TIME_UNITS, f"Airbyte has no time unit {time_unit}"  # noqa: S101 - tests write these texts
    return {"timeUnit": time_unit.lower(), "units": int(units)}
