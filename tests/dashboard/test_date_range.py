"""Days in an address."""

from datetime import UTC, date, datetime

import pytest
from starlette.requests import Request

from gateway.dashboard.date_range import WRONG_DATE, WRONG_ORDER, DateRange
from gateway.errors import BadRequest
from tests.dashboard.support import signed_in
from tests.support import World


def of(query: str) -> DateRange:
    return DateRange.of(Request({"type": "http", "query_string": query.encode(), "headers": []}))


def test_both_days_are_included() -> None:
    days = of("from=2026-11-01&to=2026-11-30")

    assert (days.first, days.last) == (date(2026, 11, 1), date(2026, 11, 30))
    assert days.since == datetime(2026, 11, 1, tzinfo=UTC)
    assert days.before == datetime(2026, 12, 1, tzinfo=UTC)
    assert days.query == {"from": "2026-11-01", "to": "2026-11-30"}


@pytest.mark.parametrize(("query", "is_any"), [("", False), ("from=&to=", False), ("to=2026-11-30", True)])
def test_an_end_may_be_open(query: str, is_any: bool) -> None:
    assert bool(of(query)) is is_any
    assert of(query).since is None


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("from=2026-02-30", WRONG_DATE),
        ("to=yesterday", WRONG_DATE),
        ("to=9999-12-31", WRONG_DATE),
        ("from=0001-01-01", WRONG_DATE),
        ("from=2026-11-30&to=2026-11-29", WRONG_ORDER),
    ],
)
def test_what_is_no_range_is_refused(query: str, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        of(query)


async def test_no_page_or_file_fails_at_the_longest_range(world: World) -> None:
    await world.client_with_key("acme")
    ours, _ = await world.mapped_connection()
    member = await signed_in(world, "acme")
    connection = f"connections/{ours}"
    paths = (
        "connections/volume",
        "usage",
        "usage.csv",
        "activity",
        "activity.csv",
        connection,
        f"{connection}/jobs.csv",
    )

    answers = [await member.get(f"/dashboard/{path}?from=1970-01-01&to=9999-12-30") for path in paths]

    assert [answer.status_code for answer in answers] == [400, 200, 200, 200, 200, 200, 200]
