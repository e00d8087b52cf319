"""Which connections need attention, why and since when."""

from datetime import timedelta
from typing import Any

import pytest

from gateway.models import BasicSchedule, Connection, ManualSchedule
from gateway.syncs.attention import Attention, needing_attention
from gateway.times import parse_time

NOW = parse_time("2026-04-10T00:00:00.000Z")
ADDED, TOLD, LAST, ENDED = (f"2026-04-0{day}T00:00:00.000Z" for day in (1, 2, 5, 6))
DUE = "2026-04-08T00:00:00.000Z"
SOUND: dict[str, Any] = {
    "airbyte_id": "airbyte",
    "status": "active",
    "last_sync_at": LAST,
    "last_sync_status": "succeeded",
    "last_ended_at": ENDED,
    "backfilled_at": LAST,
    "schedule": BasicSchedule(86_400 * 30),
    "schedule_since": TOLD,
}
EVERY_THREE_DAYS: dict[str, Any] = {"schedule": BasicSchedule(86_400 * 3)}
NEVER = {"last_sync_at": None, "last_sync_status": None, "last_ended_at": None}
TROUBLES: dict[str, tuple[dict[str, Any], str]] = {
    "failed": ({"last_sync_status": "failed"}, LAST),
    "late": (EVERY_THREE_DAYS, DUE),
    "vanished": ({"status": "deprecated"}, TOLD),
    "locked": ({"status": "locked"}, TOLD),
    "never_synced": ({**NEVER, "schedule": ManualSchedule()}, ADDED),
    "no_data": ({"warning": "no_data"}, ENDED),
    "unmapped": ({"airbyte_id": None, "status": "pending", **NEVER}, ADDED),
}


def connection(connection_id: str = "conn_1", **fields: Any) -> Connection:
    return Connection(connection_id, 1, "shopify", "Shop", created_at=ADDED, **{**SOUND, **fields})


def attention(*connections: Connection, is_current: bool = True) -> list[Attention]:
    return needing_attention(connections, now=NOW, grace=timedelta(minutes=15), is_current=is_current)


@pytest.mark.parametrize("reason", TROUBLES)
def test_each_trouble_has_its_word_and_its_beginning(reason: str) -> None:
    fields, since = TROUBLES[reason]

    assert [(each.reason, each.since) for each in attention(connection(**fields))] == [(reason, since)]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"status": "inactive"},
        {"status": "inactive", **EVERY_THREE_DAYS},
        {"status": "inactive", **NEVER},
        {"last_sync_status": "running", **EVERY_THREE_DAYS},
        {"last_sync_status": "cancelled"},
        {**NEVER, "backfilled_at": None, "schedule": ManualSchedule()},
        {"status": "pending", "schedule": None, "schedule_since": None, "backfilled_at": None, **NEVER},
    ],
)
def test_what_runs_or_rests_or_is_not_known_yet_needs_none(fields: dict[str, Any]) -> None:
    assert attention(connection(**fields)) == []


def test_the_worst_comes_first_and_of_one_kind_the_newest() -> None:
    rows = [connection(f"conn_{reason}", **fields) for reason, (fields, _) in reversed(TROUBLES.items())]
    newer = connection("conn_newer", last_sync_status="failed", last_sync_at=ENDED)

    found = attention(*rows, newer)

    assert [each.connection.id for each in found] == ["conn_newer", *(f"conn_{reason}" for reason in TROUBLES)]


def test_one_connection_is_listed_once_with_its_worst_trouble() -> None:
    everything = connection(last_sync_status="failed", warning="no_data", **EVERY_THREE_DAYS)

    assert [each.reason for each in attention(everything)] == ["failed"]


def test_nothing_is_late_while_the_figures_are_not_current() -> None:
    assert attention(connection(**EVERY_THREE_DAYS), is_current=False) == []
    assert len(attention(connection(last_sync_status="failed"), is_current=False)) == 1
