"""Who may see the operator's pages: whatever stands in the table of routes, nobody but an admin."""

from gateway.dashboard.app import routes
from gateway.dashboard.timings import PageTimings
from tests.dashboard.support import browser, signed_in
from tests.support import World

ADMIN = "/dashboard/admin/"


def admin_routes() -> list[tuple[str, str]]:
    """Method and path of each; an existing client's slug where one belongs, so that only the visitor is wrong."""
    return sorted(
        (method, route.path.replace("{slug}", "acme").replace("{id}", "user_0000000000000000"))
        for route in routes(PageTimings())
        if route.path.startswith(ADMIN)
        for method in (route.methods or set()) - {"HEAD"}
    )


def test_the_table_is_where_we_look() -> None:
    assert {("GET", "/dashboard/admin/clients"), ("POST", "/dashboard/admin/clients/acme/disable")} <= set(
        admin_routes()
    )


async def test_to_a_member_there_is_no_such_page(world: World) -> None:
    await world.client_with_key("acme")
    member = await signed_in(world, "acme")

    answers = {each: (await member.request(*each, data={} if each[0] == "POST" else None)) for each in admin_routes()}

    assert {each: answer.status_code for each, answer in answers.items()} == dict.fromkeys(answers, 404)
    assert (await world.services.store.clients.by_slug("acme")).disabled_at is None


async def test_whoever_is_not_signed_in_is_led_to_the_sign_in(world: World) -> None:
    await world.client_with_key("acme")
    anybody = browser(world)

    answers = {each: (await anybody.request(*each, data={} if each[0] == "POST" else None)) for each in admin_routes()}

    assert {each: answer.status_code for each, answer in answers.items()} == dict.fromkeys(answers, 303)
    assert all("dashboard/sign-in" in answer.headers["location"] for answer in answers.values())
    assert (await world.services.store.clients.by_slug("acme")).disabled_at is None


async def test_an_admin_may_look_at_all_of_them(world: World) -> None:
    await world.client_with_key("acme")
    admin = await signed_in(world, None)
    pages = [path for method, path in admin_routes() if method == "GET" and "{" not in path and "user_" not in path]

    assert {path: (await admin.get(path)).status_code for path in pages} == dict.fromkeys(pages, 200)
