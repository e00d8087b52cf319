"""The overview: whose connections it shows, in which state, and what it says while something is not known."""

import asyncio
import re
from html import unescape

import httpx2
import pytest

from gateway.models import Connection
from gateway.sandbox import Answer
from gateway.sandbox.timeline import Status
from gateway.store import ToldStatus
from gateway.times import format_time
from tests.dashboard.support import browser, signed_in
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


async def seen(member: httpx2.AsyncClient, path: str = "/dashboard") -> str:
    answer = await member.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


async def settled(world: World, member: httpx2.AsyncClient, path: str = "/dashboard") -> str:
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


def figures(page: str) -> dict[str, str]:
    found = re.findall(r"<dt>(.*?)</dt><dd[^>]*>(.*?)</dd>", page, re.DOTALL)
    return {name: re.sub(r"<[^>]+>", "", value).strip() for name, value in found}


async def test_whoever_is_not_signed_in_is_led_to_the_sign_in(world: World) -> None:
    for path in ("/dashboard", "/dashboard/connections"):
        answer = await browser(world).get(path)

        assert answer.status_code == 303
        assert "dashboard/sign-in" in answer.headers["location"]


async def test_an_admin_is_led_to_the_admin_pages(world: World) -> None:
    answer = await (await signed_in(world, None)).get("/dashboard")

    assert (answer.status_code, answer.headers["location"]) == (303, "./dashboard/admin/clients")


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

    assert f'<a href="./dashboard/connections/{ours}"><bdi>Shop</bdi></a>' in page
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


async def test_both_addresses_show_the_same(world: World, member: httpx2.AsyncClient) -> None:
    await a_connection(world)

    page = await settled(world, member, "/dashboard/connections")

    assert labels(page) == ["Shop"]
    assert '<a href="../dashboard/connections/conn_' in page


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


async def test_the_line_on_top_counts(world: World, member: httpx2.AsyncClient) -> None:
    jobs: list[tuple[Status, float]] = [("failed", 3), ("failed", 4), ("running", 1), ("succeeded", 2)]
    for status, hours_ago in jobs:
        _, theirs = await a_connection(world)
        await add_job(world, theirs, status, hours_ago)
    await unmapped(world, "New")

    assert figures(await settled(world, member)) == {
        "Connections": "5",
        "Last sync failed": "2",
        "Running now": "1",
        "Newest sync": "1 hour ago",
    }


async def test_a_page_with_something_running_looks_again_by_itself(world: World, member: httpx2.AsyncClient) -> None:
    _, theirs = await a_connection(world)
    world.clock.advance(60)
    await add_job(world, theirs, "running", hours_ago=0.01)

    page = await settled(world, member)

    assert page.count('data-live="15"') == 2


async def test_what_needs_attention_can_be_picked(world: World, member: httpx2.AsyncClient) -> None:
    statuses = {"fine": "active", "paused": "inactive", "stuck": "locked", "gone": "deprecated", "failed": "active"}
    for label, status in statuses.items():
        ours, theirs = await a_connection(world)
        connection = await world.services.store.connections.any_by_id(ours)
        await world.services.store.connections.rename(connection.client_id, ours, label=label)
        await world.services.store.last_syncs.record_statuses(
            [ToldStatus(theirs, status)], checked_at=format_time(world.clock.now())
        )
        if label == "failed":
            await add_job(world, theirs, "failed")
    await unmapped(world, "new")

    page = await settled(world, member, "/dashboard?show=attention")

    assert labels(page) == ["failed", "gone", "new", "stuck"]
    assert "Needs attention (4)" in page
    assert "All (6)" in page


async def test_nothing_that_needs_attention_is_good_news(world: World, member: httpx2.AsyncClient) -> None:
    await a_connection(world)

    assert "No connection needs attention" in await settled(world, member, "/dashboard?show=attention")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("SHOP", ["Straße", "Web shop"]),
        ("strasse", ["Straße"]),
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

    page = await seen(member, f"/dashboard?q={query}")

    assert labels(page) == found
    assert f'value="{query}"' in page
    assert ("No connection has this text" in page) == (not found)


async def test_hundreds_of_connections_come_in_pages(world: World, member: httpx2.AsyncClient) -> None:
    await unmapped(world, *(f"Shop {number:03}" for number in range(60)))
    path, pages = "/dashboard?q=shop&show=attention", []

    while True:
        page = await seen(member, path)
        pages.append(labels(page))
        following = re.search(r'rel="next" href="([^"]*)"', page)
        if not following:
            break
        path = f"/dashboard{unescape(following[1])}"

    assert [len(each) for each in pages] == [25, 25, 10]
    assert [label for each in pages for label in each] == [f"Shop {number:03}" for number in range(60)]
    assert path == "/dashboard?q=shop&show=attention&page=3"


async def test_only_what_is_shown_is_asked_about(world: World, member: httpx2.AsyncClient) -> None:
    for _ in range(30):
        await a_connection(world)
    world.sandbox.requests.clear()

    await settled(world, member)

    asked = [request.query for request in world.sandbox.requests if "connectionId=" in request.query]
    assert len(asked) == 25


async def test_another_client_s_connections_are_nowhere(world: World, member: httpx2.AsyncClient) -> None:
    await world.services.clients.add(slug="other", name="Other", plan="free")
    ours, theirs = await a_connection(world, "other")

    page = await seen(member, f"/dashboard?q={ours}")

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

    assert "Airbyte did not answer. These are the last known figures." in page
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
