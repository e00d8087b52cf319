"""The volume page: by month, two months beside each other, and chosen days beside as many before."""

import html
import re
from datetime import date

import httpx2
import pytest

from gateway.dashboard.paging import PAGE_ROWS
from gateway.dashboard.volume_page import recent_months
from gateway.models import Connection, SyncDay
from gateway.times import format_time
from tests.dashboard.support import csv_of, rows_of, signed_in, words
from tests.support import World

VOLUME = "/dashboard/connections/volume"
ADMINS = "/dashboard/admin/clients/acme/volume"


async def moved(world: World, slug: str, label: str, **rows: int) -> None:
    """A mapped connection with a sync of so many rows on each day, `d0331=5`."""
    client, now = await world.services.store.clients.by_slug(slug), format_time(world.clock.now())
    await world.services.store.connections.add(
        Connection(f"conn_{label}", client.id, "shopify", label, "active", created_at=now, airbyte_id=f"id-{label}")
    )
    days = [
        SyncDay(f"id-{label}", f"2026-{day[1:3]}-{day[3:]}", succeeded=1, failed=0, other=0, rows=n, bytes=1000 * n)
        for day, n in rows.items()
    ]
    await world.services.store.sync_days.replace(f"id-{label}", days, first="", before="9", read_upto=now)


@pytest.fixture
async def member(world: World) -> httpx2.AsyncClient:
    await world.services.clients.add(slug="acme", name="Acme", plan="free")
    await world.services.clients.add(slug="other", name="Other", plan="free")
    await moved(world, "acme", "shop", d0131=40, d0315=10, d0401=15)
    await moved(world, "acme", "mail", d0301=2)
    await moved(world, "other", "theirs", d0401=999)
    return await signed_in(world, "acme")


async def seen(visitor: httpx2.AsyncClient, path: str = VOLUME) -> httpx2.Response:
    answer = await visitor.get(path)
    assert answer.status_code == 200, answer.text
    return answer


def tables(page: httpx2.Response) -> list[list[list[str]]]:
    return [rows_of(table) for table in page.text.split("<table")[1:]]


async def test_this_month_stands_beside_the_last(member: httpx2.AsyncClient) -> None:
    page = await seen(member)

    totals, connections, months = tables(page)
    assert totals == [
        ["April 2026", "1", "15", "15.0 kB"],
        ["March 2026", "2", "12", "12.0 kB"],
        ["Change", "-50 %", "+25 %", "+25 %"],
    ]
    assert connections == [
        ["shop shopify", "15", "10", "+50 %", "15.0 kB", "10.0 kB"],
        ["mail shopify", "0", "2", "-100 %", "0 B", "2.0 kB"],
    ]
    assert months == [
        ["April 2026", "1", "0", "15", "15.0 kB"],
        ["March 2026", "2", "0", "12", "12.0 kB"],
        ["January 2026", "1", "0", "40", "40.0 kB"],
    ]
    assert "theirs" not in page.text


async def test_any_two_months_are_compared(member: httpx2.AsyncClient) -> None:
    page = await seen(member, f"{VOLUME}?month=2026-03&with=2026-01")

    assert [row[:3] for row in tables(page)[0]] == [
        ["March 2026", "2", "12"],
        ["January 2026", "1", "40"],
        ["Change", "+100 %", "-70 %"],
    ]
    assert page.text.count(" selected") == 2


async def test_chosen_days_stand_beside_as_many_before(member: httpx2.AsyncClient) -> None:
    page = await seen(member, f"{VOLUME}?from=2026-03-15&to=2026-04-01")

    assert [row[:3] for row in tables(page)[0][:2]] == [
        ["15 Mar 2026 to 1 Apr 2026", "2", "25"],
        ["25 Feb 2026 to 14 Mar 2026", "1", "2"],
    ]
    assert 'value="2026-03-15"' in page.text


async def test_what_cannot_be_compared_yet_is_said(member: httpx2.AsyncClient) -> None:
    this_month = words(await seen(member))
    whole_months = words(await seen(member, f"{VOLUME}?month=2026-03&with=2026-02"))
    long_ago = words(await seen(member, f"{VOLUME}?month=2026-03&with=2026-01"))
    days = words(await seen(member, f"{VOLUME}?from=2026-01-31&to=2026-02-01"))
    longer_ago = words(await seen(member, f"{VOLUME}?month=2026-01&with=2025-12"))

    assert "April 2026 is not over yet." in this_month
    assert not any("is not over yet" in page for page in (whole_months, long_ago, days))
    assert not any("is known" in page for page in (this_month, whole_months))
    assert "No sync before 31 Jan 2026 is known, so January 2026 may be incomplete." in long_ago
    assert "No sync before 31 Jan 2026 is known, so 29 Jan 2026 to 30 Jan 2026 may be incomplete." in days
    assert "so January 2026 and December 2025 may be incomplete." in longer_ago


async def test_a_month_that_is_chosen_can_be_seen_in_the_form(member: httpx2.AsyncClient) -> None:
    page = await seen(member, f"{VOLUME}?month=2024-02&with=2026-04")

    assert '<option value="2024-02" selected>February 2024</option>' in page.text
    assert '<option value="2026-04" selected>April 2026</option>' in page.text


async def test_the_file_has_both_spans_of_each_connection(world: World, member: httpx2.AsyncClient) -> None:
    page = await seen(member, f"{VOLUME}?month=2026-04&with=2026-01")
    ((link, words_beside),) = re.findall(r'<a href="(volume\.csv[^"]*)">Download as CSV</a> ([^<]*)</p>', page.text)

    file = await member.get(page.url.join(html.unescape(link)))

    april, january = ["2026-04-01", "2026-04-30"], ["2026-01-01", "2026-01-31"]
    assert csv_of(file) == [
        ["from", "to", "connectionId", "label", "connectorType", "syncs", "rows", "bytes"],
        [*april, "conn_shop", "shop", "shopify", "1", "15", "15000"],
        [*january, "conn_shop", "shop", "shopify", "1", "40", "40000"],
        [*april, "conn_mail", "mail", "shopify", "0", "0", "0"],
        [*january, "conn_mail", "mail", "shopify", "0", "0", "0"],
    ]
    assert words_beside == "The figures of each connection."
    disposition = 'attachment; filename="acme-volume-2026-04-01-to-2026-04-30-2026-04-01.csv"'
    assert file.headers["content-disposition"] == disposition


async def test_the_file_has_all_pages_of_what_was_found(world: World, member: httpx2.AsyncClient) -> None:
    for number in range(PAGE_ROWS):
        await moved(world, "acme", f"shop{number:02}")
    admin = await signed_in(world, None)

    whole, found = await member.get(f"{VOLUME}.csv?page=2"), await member.get(f"{VOLUME}.csv?q=MAIL&sort=label")
    theirs, of_admins = await member.get(ADMINS + ".csv"), await admin.get(f"{ADMINS}.csv")

    assert len(csv_of(whole)) == 1 + 2 * (PAGE_ROWS + 2)
    assert {row[3] for row in csv_of(found)[1:]} == {"mail"}
    assert theirs.status_code == 404
    assert csv_of(of_admins) == csv_of(whole)
    assert (await member.get(f"{VOLUME}.csv?month=then")).status_code == 400


async def test_it_can_be_searched(member: httpx2.AsyncClient) -> None:
    assert [row[0] for row in tables(await seen(member, f"{VOLUME}?q=mail"))[1]] == ["mail shopify"]
    assert "0 found for" in words(await seen(member, f"{VOLUME}?q=theirs"))


@pytest.mark.parametrize(
    "query",
    [
        "month=2026-13",
        "with=then",
        "from=2026-04-02&to=2026-04-01",
        "from=2027-01-01",
        "to=2026-04-02",
        "from=1970-01-01&to=9999-12-30",
    ],
)
async def test_what_is_no_month_or_day_is_refused(member: httpx2.AsyncClient, query: str) -> None:
    assert (await member.get(f"{VOLUME}?{query}")).status_code == 400


async def test_the_operator_sees_the_same_of_each_client(world: World, member: httpx2.AsyncClient) -> None:
    admin = await signed_in(world, None)

    assert tables(await seen(admin, ADMINS)) == tables(await seen(member))
    assert "/dashboard/admin/connections/conn_shop" in (await seen(admin, ADMINS)).text
    assert (await admin.get("/dashboard/admin/clients/nobody/volume")).status_code == 404


async def test_a_connection_s_page_has_its_own_months(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    day = SyncDay(theirs, "2026-03-01", succeeded=1, failed=0, other=0, rows=2, bytes=2000)
    await world.services.store.sync_days.replace(theirs, [day], first="", before="9", read_upto="2026")

    page = await seen(member, f"/dashboard/connections/{ours}")

    assert rows_of(page.text.partition('id="months"')[2]) == [["March 2026", "1", "0", "2", "2.0 kB"]]


def test_twelve_months_end_with_this_one() -> None:
    months = recent_months(date(2026, 1, 31))

    assert (months[0], months[1], months[-1], len(months)) == (
        date(2026, 1, 1),
        date(2025, 12, 1),
        date(2025, 2, 1),
        12,
    )
