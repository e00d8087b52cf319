"""Addresses without a page of their own lead to the page that was meant."""

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


async def test_an_address_that_only_takes_forms_leads_to_the_page_above_it(world: World) -> None:
    visitor = browser(world)
    pages = {filled(path) for path, methods in PATHS.items() if "GET" in methods}
    for path in map(filled, ONLY_FORMS):
        answer = await visitor.get(path)

        assert answer.status_code == 303, path
        target = answer.url.join(answer.headers["location"]).path
        assert path.startswith(f"{target}/")
        assert target in pages


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


async def test_a_list_in_the_answer_to_a_refused_form_can_be_searched_and_turned(world: World) -> None:
    await world.client_with_key()
    member = await signed_in(world, "acme")
    path = "/dashboard/settings/account"
    await member.post(f"{path}/password", data={"current": "wrong"})

    for asked in (f"{path}/password?page=2&done=x", f"{path}/?page=2"):
        answer = await member.get(asked)

        assert str(answer.url.join(answer.headers["location"])).endswith(f"{path}?page=2")


async def test_a_slash_at_the_end_is_left_out(world: World) -> None:
    visitor = browser(world)
    for path in ("/dashboard", "/dashboard/admin", "/dashboard/settings/account", "/docs", "/docs/api"):
        for slashes in ("/", "//"):
            answer = await visitor.get(path + slashes)

            assert answer.status_code == 303
            assert answer.url.join(answer.headers["location"]).path == path


async def test_an_odd_address_with_a_slash_leads_nowhere(world: World) -> None:
    visitor = browser(world)
    for path in ("/dashboard//evil.example/", "/dashboard/%2e%2e/", "/dashboard/x%0d%0a/", "/docs/%5cevil/", "/x/"):
        answer = await visitor.get(path)

        assert (answer.status_code, answer.headers.get("location")) == (404, None)


async def test_a_member_who_asks_for_the_admins_overview_gets_his_own(world: World) -> None:
    await world.client_with_key()
    member = await signed_in(world, "acme")

    for path in ("/dashboard/admin", "/dashboard/admin/"):
        answer = await member.get(path)
        while answer.status_code == 303:
            answer = await followed(member, answer)
        assert answer.url.path == "/dashboard"


async def test_an_address_as_people_type_it_leads_to_the_page_that_is_meant(world: World) -> None:
    await world.client_with_key()
    visitors = {"member": await signed_in(world, "acme"), "admin": await signed_in(world, None), "": browser(world)}
    settings = "/dashboard/settings"
    meant = {
        "member": [f"{settings}/api-keys", f"{settings}/account", f"{settings}/api-keys", f"{settings}/webhooks"],
        "admin": [f"{settings}/account", f"{settings}/account", "/dashboard/admin", "/dashboard/admin"],
        "": ["/dashboard/sign-in"] * 4,
    }
    for who, visitor in visitors.items():
        reached = []
        for typed in (settings, "/dashboard/account", "/dashboard/api-keys", "/dashboard/webhooks"):
            answer = await visitor.get(typed)
            while answer.status_code == 303:
                answer = await followed(visitor, answer)
            assert answer.status_code == 200
            reached.append(answer.url.path)

        assert reached == meant[who]
