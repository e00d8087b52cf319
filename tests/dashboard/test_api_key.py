"""One API key's page: how much and by whom it is called, and when it is safe to retire."""

import httpx2
import pytest

from gateway.models import ApiKey
from gateway.provisioning.keys import NewKey
from tests.dashboard.support import plain, rows_of, signed_in, words
from tests.support import World, bearer

KEYS = "/dashboard/settings/api-keys"
DAY = 86_400


@pytest.fixture
async def key(world: World) -> NewKey:
    return await world.client_with_key()


@pytest.fixture
async def member(world: World, key: NewKey) -> httpx2.AsyncClient:
    return await signed_in(world, "acme")


async def call(world: World, key: NewKey, address: str = "192.0.2.1", agent: str = "curl/8", times: int = 1) -> None:
    transport = httpx2.ASGITransport(app=world.app, client=(address, 50000))
    async with httpx2.AsyncClient(transport=transport, base_url="http://gateway") as caller:
        for _ in range(times):
            await caller.get("/api/v1/status", headers={**bearer(key), "User-Agent": agent})


async def flushed(world: World) -> None:
    await world.services.store.usage.flush()
    await world.services.store.key_callers.flush()


async def page_of(world: World, visitor: httpx2.AsyncClient, key: ApiKey, path: str = KEYS) -> httpx2.Response:
    await flushed(world)
    answer = await visitor.get(f"{path}/{key.id}")
    assert answer.status_code == 200
    return answer


def callers(page: httpx2.Response) -> list[list[str]]:
    return rows_of(page.text.partition('id="callers"')[2].partition("</table>")[0])


async def test_all_addresses_and_programs_are_told(world: World, key: NewKey, member: httpx2.AsyncClient) -> None:
    await call(world, key, times=3)
    await call(world, key, "2001:db8::7", "speakeasy-sdk/python 1.0.1 2.0 1.0 airbyte-api")
    other = await world.key()
    await call(world, other, "198.51.100.1")
    world.clock.advance(3600)
    await call(world, key, agent="")
    await call(world, key)

    page = await page_of(world, member, key.record)

    assert sorted(callers(page)) == [
        ["airbyte-api 1.0.1 (python)", "2001:db8::7", "1 hour ago", "1 hour ago"],
        ["curl/8", "192.0.2.1", "1 hour ago", "just now"],
        ["not told", "192.0.2.1", "just now", "just now"],
    ]
    assert "<dt>Calls</dt><dd>6</dd>" in page.text
    assert 'role="img"' in page.text
    admin = await signed_in(world, None)
    assert callers(await page_of(world, admin, key.record, "/dashboard/admin/clients/acme/api-keys")) == callers(page)


async def test_callers_of_more_than_thirty_days_ago_are_not(
    world: World, key: NewKey, member: httpx2.AsyncClient
) -> None:
    await call(world, key)
    await flushed(world)
    world.clock.advance(30 * DAY + 3601)

    page = await page_of(world, await signed_in(world, "acme", "again@example.com"), key.record)

    assert callers(page) == []
    assert "Nothing called with this key in the last 30 days." in words(page)


@pytest.mark.parametrize(
    ("used", "days", "is_safe"), [(True, 13.9, False), (True, 14, True), (False, 13.9, False), (False, 14, True)]
)
async def test_a_key_that_was_quiet_for_fourteen_days_is_safe_to_retire(
    world: World, key: NewKey, used: bool, days: float, is_safe: bool
) -> None:
    if used:
        world.clock.advance(DAY)
        await call(world, key)
        await flushed(world)
    world.clock.advance(days * DAY)
    member = await signed_in(world, "acme")

    page, listed = await page_of(world, member, key.record), await member.get(KEYS)

    assert ("Safe to retire" in words(page)) is is_safe
    assert ("safe to retire" in plain(listed.text)) is is_safe


async def test_a_key_that_works_no_more_is_not_to_be_retired(
    world: World, key: NewKey, member: httpx2.AsyncClient
) -> None:
    world.clock.advance(15 * DAY)
    await world.services.keys.revoke(key.record.id)

    page = await page_of(world, await signed_in(world, "acme", "again@example.com"), key.record)

    assert "Safe to retire" not in words(page)
