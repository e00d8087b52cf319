"""When Airbyte begins the syncs of a connection by itself, as the API shows it."""

import msgspec


class ManualSchedule(msgspec.Struct, frozen=True, tag_field="type", tag="manual"):
    """Only when somebody starts one."""


class BasicSchedule(msgspec.Struct, frozen=True, tag_field="type", tag="basic"):
    """So many seconds after the newest sync was created."""

    every_seconds: int


class CronSchedule(msgspec.Struct, frozen=True, tag_field="type", tag="cron"):
    """At the times of a Quartz expression, as Airbyte writes it: six or seven fields, then a time zone."""

    cron: str


Schedule = ManualSchedule | BasicSchedule | CronSchedule
