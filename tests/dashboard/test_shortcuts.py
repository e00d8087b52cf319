"""Addresses without a page of their own lead to the page that was meant."""

import httpx2
import pytest

from gateway.dashboard.app import routes
from gateway.dashboard.timings import PageTimings
from tests.dashboard.support import browser, followed, signed_in, words
from tests.support import World

PATHS = {
    path: {method for route in routes(PageTimings()) if route.path == path for method in route.methods or ()}
    for path in {route.path for route in routes(PageTimings())}
}
ONLY_FORMS = sorted(path for path, methods in PATHS.items() if "GET" not in methods)


def filled(path: str) -> str:
    for name in ("slug", "id", "key", "webhook", "secret", "job"):
        path = path.replace(f"{{{name}}}", f"some-{name}")
    return path


@pytest.mark.parametrize("path", ONLY_FORMS)
async def test_an_address_that_only_takes_forms_leads_to_a_page_above_it(world: World, path: str) -> None:
    visitor = browser(world)

    answer = await visitor.get(filled(path))

    assert answer.status_code == 303
    target = answer.url.join(answer.headers["location"]).path
    assert filled(path).startswith(f"{target}/")
    assert "GET" in next(methods for other, methods in PATHS.items() if filled(other) == target)


async def test_a_reload_after_a_refused_sync_shows_the_connection(world: World) -> None:
    await world.client_with_key()
    member = await signed_in(world, "acme")
    connection = await world.services.connections.add(
        "acme", connector_type="shopify", label="Web shop", airbyte_id=None
    )
    path = f"/dashboard/connections/{connection.connection.id}"
    refused = await member.post(f"{path}/sync")
    assert refused.status_code == 400

    page = await followed(member, await member.get(f"{path}/sync"))

    assert page.status_code == 200
    assert str(page.url.path) == path
    assert "Web shop" in words(page)


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/dashboard/", "/dashboard"),
        ("/dashboard//", "/dashboard"),
        ("/dashboard/admin/", "/dashboard/admin"),
        ("/dashboard/settings/account/", "/dashboard/settings/account"),
        ("/docs/", "/docs"),
        ("/docs/api/", "/docs/api"),
    ],
)
async def test_a_slash_at_the_end_is_left_out(world: World, path: str, target: str) -> None:
    answer = await browser(world).get(path)

    assert answer.status_code == 303
    assert answer.url.join(answer.headers["location"]).path == target


@pytest.mark.parametrize("path", ["/dashboard//evil.example/", "/dashboard/%2e%2e/", "/dashboard/x%0d%0a/", "/docs/?/"])
async def test_an_odd_address_with_a_slash_leads_nowhere(world: World, path: str) -> None:
    answer = await browser(world).get(path)

    assert (answer.status_code, answer.headers.get("location")) in {(404, None), (303, "../docs")}


async def test_a_member_who_asks_for_the_admins_overview_gets_his_own(world: World) -> None:
    await world.client_with_key()
    member = await signed_in(world, "acme")

    for path in ("/dashboard/admin", "/dashboard/admin/"):
        answer = await member.get(path)
        while answer.status_code == 303:
            answer = await followed(member, answer)
        assert answer.url.path == "/dashboard"
        assert isinstance(answer, httpx2.Response)
