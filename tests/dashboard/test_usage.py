"""The usage page through HTTP as a browser asks."""

import re

import httpx2
import pytest

from gateway.dashboard.paging import PAGE_ROWS
from gateway.models import ApiKey
from gateway.provisioning.keys import NewKey
from tests.dashboard.support import csv_of, rows_of, signed_in
from tests.support import NEVER_OURS, World, bearer

USAGE = "/dashboard/usage"


async def call(world: World, key: NewKey, path: str = "/status", times: int = 1) -> None:
    for _ in range(times):
        await world.http.get(f"/api/v1{path}", headers=bearer(key))


async def usage_page(world: World, visitor: httpx2.AsyncClient, query: str = "") -> httpx2.Response:
    await world.services.store.usage.flush()
    answer = await visitor.get(f"{USAGE}{query}")
    assert answer.status_code == 200
    return answer


def by_key(page: httpx2.Response) -> list[list[str]]:
    return rows_of(page.text.partition('id="keys"')[2])


def totals(page: httpx2.Response) -> list[str]:
    return re.findall(r"<dd>([^<]*)</dd>", page.text)


def named(key: ApiKey) -> str:
    return f"{key.name} {key.start}"


async def test_each_key_is_listed_with_its_figures_and_its_limit(world: World) -> None:
    key = await world.client_with_key(rate="5/60")
    other = await world.key()
    theirs = await world.client_with_key("other")
    await call(world, key, times=4)
    await call(world, key, f"/connections/{NEVER_OURS}/jobs")
    await call(world, key, times=2)
    await call(world, theirs, times=9)
    ann = await signed_in(world, "acme")

    page = await usage_page(world, ann)

    assert by_key(page) == [
        [named(key.record), "active", "5 requests per minute", "7", "2", "1"],
        [named(other.record), "active", "100 requests per minute", "0", "0", "0"],
    ]
    assert totals(page) == ["7", "2", "1"]
    assert theirs.record.start not in page.text
    assert "Figures can be up to 30 seconds late" in page.text


async def test_a_client_s_own_limit_holds_for_its_keys(world: World) -> None:
    await world.client_with_key()
    await world.services.clients.update(
        "acme", name="Acme", plan="free", rate="600/3600", rate_total=None, most_keys=None
    )

    page = await usage_page(world, await signed_in(world, "acme"))

    assert [row[2] for row in by_key(page)] == ["600 requests per hour"]


async def test_the_periods_differ_in_how_far_they_reach(world: World) -> None:
    key = await world.client_with_key()
    await call(world, key, times=3)
    world.clock.advance(24 * 3600)
    await call(world, key)
    ann = await signed_in(world, "acme")

    day, month = await usage_page(world, ann), await usage_page(world, ann, "?period=30d")

    assert [totals(page)[0] for page in (day, month)] == ["1", "4"]
    assert [by_key(page)[0][3] for page in (day, month)] == ["1", "4"]
    assert '<a href="?period=30d" aria-current="page">' in month.text
    assert totals(await usage_page(world, ann, "?period=1y")) == totals(day)


async def test_the_chart_has_its_figures_as_a_table(world: World) -> None:
    key = await world.client_with_key(rate="2/3600")
    await call(world, key, times=3)
    world.clock.advance(3600)
    await call(world, key, "/nothing")
    ann = await signed_in(world, "acme")

    page = await usage_page(world, ann)
    table = page.text.partition("These figures as a table")[2].partition("</table>")[0]
    parts = re.findall(r'<rect class="(answered|limited|errors)" x="(\d+)"', page.text)

    assert rows_of(table)[:3] == [["04:00", "1", "0", "1"], ["03:00", "3", "1", "0"], ["02:00", "0", "0", "0"]]
    assert parts == [("answered", "220"), ("limited", "220"), ("errors", "230")]
    assert 'aria-label="Calls by hour, last 24 hours, most in the hour of 03:00 with 3."' in page.text


async def test_keys_that_ended_are_listed_while_they_have_figures(world: World) -> None:
    used = await world.client_with_key()
    unused = await world.key()
    await call(world, used)
    await world.services.store.usage.flush()
    for key in (used, unused):
        await world.services.keys.revoke(key.record.id)
    ann = await signed_in(world, "acme")

    page = await usage_page(world, ann)

    assert [row[:2] for row in by_key(page)] == [[named(used.record), "revoked"]]


@pytest.mark.parametrize(
    ("has_key", "sentences"),
    [
        (False, ["No calls in the last 24 hours", "No active keys"]),
        (True, ["No calls in the last 24 hours"]),
    ],
)
async def test_nothing_there_yet_says_what_to_do(world: World, *, has_key: bool, sentences: list[str]) -> None:
    await world.services.clients.add(slug="acme", name="Acme", plan="free")
    if has_key:
        await world.key()

    page = await usage_page(world, await signed_in(world, "acme"))

    assert [sentence in page.text for sentence in sentences] == [True] * len(sentences)
    assert ("No active keys" in page.text) is not has_key
    assert totals(page) == ["0", "0", "0"]
    assert 'role="img"' not in page.text


async def test_many_keys_are_paged_within_the_period(world: World) -> None:
    await world.client_with_key()
    await world.allow_keys(PAGE_ROWS + 1)
    for _ in range(PAGE_ROWS):
        await world.key()
    ann = await signed_in(world, "acme")

    first = await usage_page(world, ann, "?period=30d")
    second = await usage_page(world, ann, "?period=30d&page=2")

    assert [len(by_key(page)) for page in (first, second)] == [PAGE_ROWS, 1]
    assert 'href="?period=30d&amp;page=2"' in first.text
    assert '<input type="hidden" name="period" value="30d">' in first.text


async def test_keys_are_sorted_by_the_heads_of_their_figures(world: World) -> None:
    busy = await world.client_with_key()
    wrong = await world.key()
    await call(world, busy, times=3)
    await call(world, wrong, "/nothing", times=2)
    ann = await signed_in(world, "acme")

    async def names(query: str) -> list[str]:
        return [row[0] for row in by_key(await usage_page(world, ann, query))]

    usual, by_errors = [named(busy.record), named(wrong.record)], [named(wrong.record), named(busy.record)]
    assert await names("") == await names("?sort=-calls") == await names("?sort=name") == usual
    assert await names("?sort=-errors") == await names("?sort=calls") == by_errors
    page = await usage_page(world, ann, "?period=30d&sort=-errors")
    assert 'aria-sort="descending"><a href="?period=30d&amp;sort=errors">Errors</a>' in page.text


async def test_the_file_has_each_hour_of_each_key(world: World) -> None:
    key = await world.client_with_key(rate="5/60")
    theirs = await world.client_with_key("other")
    await call(world, key, times=4)
    await call(world, key, f"/connections/{NEVER_OURS}/jobs")
    await call(world, key)
    await call(world, theirs, times=9)
    world.clock.advance(3600)
    await call(world, key)
    ann, admin = await signed_in(world, "acme"), await signed_in(world, None)

    page = await usage_page(world, ann, "?period=30d")
    file = await ann.get(f"{USAGE}.csv?period=30d")

    known = [key.record.id, "test", key.record.start]
    assert csv_of(file) == [
        ["hour", "keyId", "key", "start", "calls", "limited", "errors"],
        ["2026-04-01T03:00:00.000Z", *known, "6", "1", "1"],
        ["2026-04-01T04:00:00.000Z", *known, "1", "0", "0"],
    ]
    assert file.headers["content-disposition"] == 'attachment; filename="acme-usage-30d-2026-04-01.csv"'
    assert 'href="usage.csv?period=30d"' in page.text
    assert (await admin.get("/dashboard/admin/clients/acme/usage.csv?period=30d")).text == file.text
    assert (await admin.get("/dashboard/admin/clients/nobody/usage.csv")).status_code == 404


async def test_a_file_of_a_period_that_there_is_not_is_refused_with_what_is_right(world: World) -> None:
    await world.client_with_key()
    ann, admin = await signed_in(world, "acme"), await signed_in(world, None)

    answers = [
        await ann.get(f"{USAGE}.csv?period=1y"),
        await admin.get("/dashboard/admin/clients/acme/usage.csv?period=1y"),
    ]

    assert [answer.status_code for answer in answers] == [400, 400]
    assert all("Period must be 24h or 30d" in answer.text for answer in answers)
    assert (await ann.get(f"{USAGE}.csv?period=")).status_code == 200


async def test_a_day_s_file_begins_a_day_ago(world: World) -> None:
    key = await world.client_with_key()
    await call(world, key)
    world.clock.advance(24 * 3600)
    await call(world, key)
    ann = await signed_in(world, "acme")
    await world.services.store.usage.flush()

    assert [row[0] for row in csv_of(await ann.get(f"{USAGE}.csv"))[1:]] == ["2026-04-02T03:00:00.000Z"]


async def test_chosen_days_are_shown_and_saved(world: World) -> None:
    key = await world.client_with_key()
    for times in (1, 2, 4):
        await call(world, key, times=times)
        world.clock.advance(86_400)
    ann = await signed_in(world, "acme")

    async def figures(query: str) -> tuple[list[str], int]:
        page = await usage_page(world, ann, query)
        assert [row[3] for row in by_key(page)] == totals(page)[:1]
        return totals(page)[:1], len(rows_of(page.text.partition("<details>")[2].partition("</table>")[0]))

    # It is the fourth of April; the first calls were made on the first.
    assert await figures("?from=2026-04-01&to=2026-04-02") == (["3"], 2)
    assert await figures("?from=2026-04-02") == (["6"], 3)
    assert await figures("?to=2026-04-01") == (["1"], 38)
    assert await figures("?from=2026-04-02&to=2026-04-02") == (["2"], 24)
    saved = csv_of(await ann.get(f"{USAGE}.csv?from=2026-04-01&to=2026-04-02"))
    assert [(row[0], row[4]) for row in saved[1:]] == [
        ("2026-04-01T03:00:00.000Z", "1"),
        ("2026-04-02T03:00:00.000Z", "2"),
    ]


@pytest.mark.parametrize("query", ["?from=2026-04-02&to=2026-04-01", "?from=soon", "?to=2026-13-01"])
@pytest.mark.parametrize("end", ["", ".csv"])
async def test_what_are_no_days_is_refused(world: World, query: str, end: str) -> None:
    await world.client_with_key()
    ann = await signed_in(world, "acme")

    assert (await ann.get(f"{USAGE}{end}{query}")).status_code == 400


async def test_days_outside_of_what_is_kept_are_empty(world: World) -> None:
    key = await world.client_with_key()
    await call(world, key)
    ann = await signed_in(world, "acme")

    for query in ("?to=2020-01-01", "?from=2030-01-01"):
        assert (await usage_page(world, ann, query)).status_code == 200
