"""The list of connections: whose it shows, in which state, and what it says while something is not known."""

import asyncio
import re
from html import unescape

import httpx2
import pytest

from gateway.models import Connection
from gateway.sandbox import Answer
from gateway.sandbox.timeline import Status
from gateway.times import format_time
from tests.dashboard.support import plain, signed_in
from tests.support import BOUND_SECONDS, World

NASTY = "<script>alert(1)</script> \u202eevil\u200b " + "long" * 30


@pytest.fixture
async def member(world: World) -> httpx2.AsyncClient:
    await world.services.clients.add(slug="acme", name="Acme", plan="free")
    return await signed_in(world, "acme")


async def a_connection(world: World, slug: str = "acme") -> tuple[str, str]:
    """Our id and Airbyte's."""
    return await world.mapped_connection(slug)


async def add_job(world: World, theirs: str, status: Status = "succeeded", hours_ago: float = 1.0) -> None:
    """A job of the past, which the gateway learns of as of one from before the connection was mapped."""
    at = world.clock.now().timestamp() - hours_ago * 3600
    world.sandbox.world.add_job(theirs, status=status, created_at=at)
    await world.services.store.last_syncs.require_backfill(airbyte_ids=[theirs])


async def unmapped(world: World, *labels: str, connector_type: str = "shopify", slug: str = "acme") -> None:
    """Many at once, past the operator's checks."""
    client = await world.services.store.clients.by_slug(slug)
    now = format_time(world.clock.now())
    for number, label in enumerate(labels):
        connection_id = f"conn_{connector_type}{number:04}"
        await world.services.store.connections.add(
            Connection(connection_id, client.id, connector_type, label, "pending", created_at=now)
        )


async def seen(member: httpx2.AsyncClient, path: str = "/dashboard/connections") -> str:
    answer = await member.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


async def settled(world: World, member: httpx2.AsyncClient, path: str = "/dashboard/connections") -> str:
    """The page as it is once nothing is being read any more."""
    world.clock.advance(6)
    async with asyncio.timeout(BOUND_SECONDS):
        while 'data-live="5"' in (page := await seen(member, path)):
            await asyncio.sleep(0.001)
    return page


def labels(page: str) -> list[str]:
    """Of the connections listed."""
    return [
        unescape(label) for label in re.findall(r'<a href="[^"]*dashboard/connections/[^"]*"><bdi>(.*?)</bdi>', page)
    ]


async def test_a_client_without_connections_is_told_what_to_do(member: httpx2.AsyncClient) -> None:
    page = await seen(member)

    assert "No connections yet" in page
    assert "data-live" not in page


async def test_a_connection_is_shown_with_its_state_and_its_days(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await a_connection(world)
    await add_job(world, theirs, "failed", hours_ago=30)
    await add_job(world, theirs, hours_ago=26)
    await add_job(world, theirs, hours_ago=2)

    page = await settled(world, member)

    assert f'<a href="../dashboard/connections/{ours}"><bdi>Shop</bdi></a>' in page
    assert '<span class="badge active">active</span>' in page
    assert '<span class="badge succeeded">succeeded</span>' in page
    assert ">2 hours ago</time>" in page
    assert 'aria-label="within a day"' in page
    assert "3 syncs, 1 failed" in page
    assert len(re.findall(r"<title>\d+ \w+: ", page)) == 30
    assert "<title>30 Mar: 1 failed</title>" in page
    assert (
        'aria-label="Last 30 days: 3 syncs, 1 failed. All succeeded on 2 days, all failed on 1 day, '
        'no sync on 27 days."' in page
    )
    assert "data-live" not in page


@pytest.mark.parametrize(
    ("hours_ago", "words"),
    [(23.9, "within a day"), (24.1, "within a week"), (167.9, "within a week"), (168.1, "older than a week")],
)
async def test_freshness_is_told_in_steps(
    world: World, member: httpx2.AsyncClient, hours_ago: float, words: str
) -> None:
    _, theirs = await a_connection(world)
    await add_job(world, theirs, hours_ago=hours_ago)

    row, _ = (await settled(world, member)).split('<div class="key">')

    assert f'aria-label="{words}"' in row


async def test_a_connection_that_never_synced_says_so(world: World, member: httpx2.AsyncClient) -> None:
    await a_connection(world)

    page = await settled(world, member)

    assert 'aria-label="never synced"' in page
    assert '<span class="quiet">no syncs</span>' in page


async def test_a_page_with_something_running_looks_again_by_itself(world: World, member: httpx2.AsyncClient) -> None:
    _, theirs = await a_connection(world)
    world.clock.advance(60)
    await add_job(world, theirs, "running", hours_ago=0.01)

    page = await settled(world, member)

    assert page.count('data-live="15"') == 2


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("SHOP", ["Straße", "Web shop"]),
        ("STRAßE", ["Straße"]),
        ("stripe", ["Billing"]),
        ("conn_stripe0000", ["Billing"]),
        ("nowhere", []),
    ],
)
async def test_search_finds_labels_types_and_ids(
    world: World, member: httpx2.AsyncClient, query: str, found: list[str]
) -> None:
    await unmapped(world, "Straße", "Web shop")
    await unmapped(world, "Billing", connector_type="stripe")

    page = await seen(member, f"/dashboard/connections?q={query}")

    assert labels(page) == found
    assert f'value="{query}"' in page
    assert ("No connection has this text" in page) == (not found)


async def test_hundreds_of_connections_come_in_pages(world: World, member: httpx2.AsyncClient) -> None:
    await unmapped(world, *(f"Shop {number:03}" for number in range(60)))
    path, pages = "/dashboard/connections?q=shop", []

    while True:
        page = await seen(member, path)
        pages.append(labels(page))
        following = re.search(r'rel="next" href="([^"]*)"', page)
        if not following:
            break
        path = f"/dashboard/connections{unescape(following[1])}"

    assert [len(each) for each in pages] == [20, 20, 20]
    assert [label for each in pages for label in each] == [f"Shop {number:03}" for number in range(60)]
    assert path == "/dashboard/connections?q=shop&page=3"


async def test_only_what_is_shown_is_asked_about(world: World, member: httpx2.AsyncClient) -> None:
    for _ in range(30):
        await a_connection(world)
    world.sandbox.requests.clear()

    await settled(world, member)

    asked = [request.query for request in world.sandbox.requests if "connectionId=" in request.query]
    assert len(asked) == 20


async def test_another_client_s_connections_are_nowhere(world: World, member: httpx2.AsyncClient) -> None:
    await world.services.clients.add(slug="other", name="Other", plan="free")
    ours, theirs = await a_connection(world, "other")

    page = await seen(member, f"/dashboard/connections?q={ours}")

    assert "No connections yet" in page
    assert ours not in page.replace(f'value="{ours}"', "")
    assert theirs not in page


async def test_whatever_a_label_holds_stays_text(world: World, member: httpx2.AsyncClient) -> None:
    await unmapped(world, NASTY)

    page = await seen(member)

    assert "<script>alert" not in page
    assert labels(page) == [NASTY]


async def test_without_airbyte_the_last_known_is_shown(world: World, member: httpx2.AsyncClient) -> None:
    _, theirs = await a_connection(world)
    await add_job(world, theirs)
    await settled(world, member)
    world.clock.advance(700)
    world.sandbox.faults.answer_with(Answer.html(503), times=100)

    page = await settled(world, member)

    assert "Airbyte did not answer: it, or a proxy in front of it, fails. These are the last known figures" in page
    assert '<span class="badge succeeded">succeeded</span>' in page
    assert "1 sync, none failed" in page
    assert page.count('data-live="60"') == 2


async def test_a_history_that_is_not_read_yet_is_announced(world: World, member: httpx2.AsyncClient) -> None:
    await a_connection(world)
    await world.services.syncs.last_sync.ensure_fresh(1)
    release = world.sandbox.faults.get_hang = asyncio.Event()

    page = await seen(member)
    release.set()

    assert "History is being read" in page
    assert page.count('data-live="5"') == 2
    assert "no syncs" in await settled(world, member)


async def test_a_history_that_cannot_be_read_is_owned_up_to(world: World, member: httpx2.AsyncClient) -> None:
    await a_connection(world)
    await world.services.syncs.last_sync.ensure_fresh(1)
    world.sandbox.faults.answer_with(Answer(400))

    page = await seen(member)

    assert "History could not be read" in page
    assert "data-live" not in page


async def test_a_connection_without_mapping_has_no_history(world: World, member: httpx2.AsyncClient) -> None:
    await unmapped(world, "New")

    page = await seen(member)

    assert "Not mapped to Airbyte yet" in page
    assert '<span class="badge pending">pending</span>' in page


async def test_this_month_stands_beside_the_last_one(world: World, member: httpx2.AsyncClient) -> None:
    _, theirs = await a_connection(world)
    _, second = await a_connection(world)
    for theirs_id, hours_ago, rows in ((theirs, 1, 40), (theirs, 2, 2), (theirs, 400, 7), (second, 1, 1_000)):
        at = world.clock.now().timestamp() - hours_ago * 3600
        world.sandbox.world.add_job(theirs_id, created_at=at, rows=rows, bytes=rows * 1_000)
    await world.services.store.last_syncs.require_backfill(airbyte_ids=[theirs, second])

    page = await settled(world, member)
    admin = await (await signed_in(world, None)).get("/dashboard/admin/clients/acme")

    for text in (page, admin.text):
        assert plain(text).count("42 rows, 42.0 kB 7 rows, 7.0 kB last month") == 1
        assert "Rows this month1,0427 last month Data this month1.0 MB7.0 kB last month" in plain(text)
        assert "not counted" not in text
        assert "Counted from 15 Mar 2026 on." in plain(text)


async def test_an_admin_who_looks_has_syncs_counted_as_a_member_has(world: World, member: httpx2.AsyncClient) -> None:
    _, theirs = await a_connection(world)
    world.sandbox.world.add_job(theirs, created_at=world.clock.now().timestamp() - 3600, rows=42, bytes=42_000)
    await world.services.store.last_syncs.require_backfill(airbyte_ids=[theirs])
    await member.get("/dashboard")
    admin = await signed_in(world, None)

    async with asyncio.timeout(BOUND_SECONDS):
        while "not counted yet" in (page := await seen(admin, "/dashboard/admin/clients/acme")):
            await asyncio.sleep(0.001)

    assert "42 rows, 42.0 kB" in plain(page)


async def test_when_all_of_last_month_is_known_no_first_day_is_named(world: World, member: httpx2.AsyncClient) -> None:
    _, theirs = await a_connection(world)
    for days_ago in (3, 33):
        at = world.clock.now().timestamp() - days_ago * 86_400
        world.sandbox.world.add_job(theirs, created_at=at, rows=1)
    await world.services.store.last_syncs.require_backfill(airbyte_ids=[theirs])

    page = await settled(world, member)

    assert "Syncs this month01 last month" in plain(page)
    assert "Counted from" not in page


async def test_a_connection_whose_syncs_were_not_read_is_said_to_be_missing(
    world: World, member: httpx2.AsyncClient
) -> None:
    for number in range(21):
        ours, theirs = await a_connection(world)
        await add_job(world, theirs)
        await world.services.store.connections.rename(1, ours, label=f"Shop {number:02}")

    first = await settled(world, member)
    second = await settled(world, member, "/dashboard/connections?page=2")

    assert "1 connection has syncs that are not counted yet." in first
    assert "not counted yet" not in second


async def test_while_nothing_is_counted_no_figure_is_called_zero(world: World, member: httpx2.AsyncClient) -> None:
    _, theirs = await a_connection(world)
    await add_job(world, theirs)
    await member.get("/dashboard")
    world.sandbox.faults.answer_with(Answer.html(503), times=100)
    admin = await signed_in(world, None)

    for page in (await settled(world, member), await settled(world, admin, "/dashboard/admin/clients/acme")):
        assert "Rows this month— Data this month— Syncs this month—" in plain(page)
        assert "1 connection has syncs that are not counted yet." in page


async def test_another_client_s_rows_count_for_nothing(world: World, member: httpx2.AsyncClient) -> None:
    await a_connection(world)
    await world.services.clients.add(slug="other", name="Other", plan="free")
    _, theirs = await a_connection(world, "other")
    await add_job(world, theirs)
    await settled(world, await signed_in(world, "other"))

    assert "Rows this month00 last month" in plain(await settled(world, member))
