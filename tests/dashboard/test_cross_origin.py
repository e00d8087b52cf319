"""What another site's page may make a visitor's browser send: nothing that changes anything (OWASP, Go's net/http)."""

import pytest

from gateway.dashboard.app import routes
from gateway.dashboard.session_cookie import SECURE_NAME
from gateway.dashboard.timings import PageTimings
from gateway.models import COMMAND_LINE
from tests.dashboard.support import HOST, accounts_of, browser, session_of, signed_in
from tests.support import World

OWN = f"https://{HOST}"
MEMBER = "acme@example.com"
UNSAFE = sorted({route.path for route in routes(PageTimings()) if "POST" in (route.methods or ())})
IDS = {"{secret}": "x" * 43, "{slug}": "acme", "{id}": "conn_0000000000000000", "{key}": "key_0000000000000000"}


@pytest.fixture
async def world(world: World) -> World:
    """With the client acme."""
    await world.client_with_key()
    return world


async def sign_out(world: World, headers: dict[str, str]) -> int:
    """The status of a POST that is harmless; `headers` and the host are all that is said of where it comes from."""
    async with browser(world) as visitor:
        visitor.headers.pop("Sec-Fetch-Site")
        return (await visitor.post("/dashboard/sign-out", headers=headers)).status_code


@pytest.mark.parametrize(
    ("headers", "is_taken"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": ""}, False),
        ({"Sec-Fetch-Site": "same-origin, cross-site"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": OWN}, False),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"}, True),
        ({"Origin": OWN}, True),
        ({"Origin": f"http://{HOST}"}, True),
        ({"Origin": f"{OWN}:8443"}, False),
        ({"Origin": f"{OWN}:8443", "Host": f"{HOST}:8443"}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": f"https://{HOST}.evil.example"}, False),
        ({"Origin": f"https://evil.example/{HOST}"}, False),
        ({"Origin": f"https://user@{HOST}"}, False),
        ({"Origin": HOST}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "https://["}, False),
        ({"Origin": "://"}, False),
        ({"Origin": ""}, False),
        ({"Referer": f"{OWN}/dashboard"}, False),
        ({}, False),
    ],
    ids=str,
)
async def test_a_request_says_that_it_comes_from_our_pages(
    world: World, headers: dict[str, str], *, is_taken: bool
) -> None:
    assert await sign_out(world, headers) == (303 if is_taken else 403)


async def test_a_request_without_a_host_is_nobodys(world: World) -> None:
    assert await sign_out(world, {"Origin": "https://", "Host": ""}) == 403


@pytest.mark.parametrize("path", UNSAFE)
async def test_every_form_of_ours_refuses_another_sites_page(world: World, path: str) -> None:
    for name, value in IDS.items():
        path = path.replace(name, value)
    for visitor in (await signed_in(world, "acme"), await signed_in(world, None), browser(world)):
        for content_type in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"):
            answer = await visitor.post(
                path, content=b"name=x", headers={"Sec-Fetch-Site": "cross-site", "Content-Type": content_type}
            )

            assert answer.status_code == 403, content_type
            assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "PROPFIND", "TRACE"])
async def test_unknown_methods_are_refused_too(world: World, method: str) -> None:
    answer = await browser(world).request(method, "/dashboard/sign-in", headers={"Sec-Fetch-Site": "cross-site"})

    assert answer.status_code == 403


async def test_a_link_of_another_sites_page_may_be_followed(world: World) -> None:
    visitor = await signed_in(world, "acme")
    for method in ("GET", "HEAD"):
        headers = {"Sec-Fetch-Site": "cross-site"}
        assert (await visitor.request(method, "/dashboard/settings/account", headers=headers)).status_code == 200


async def test_nobody_is_signed_out_or_in_from_outside(world: World) -> None:
    visitor = await signed_in(world, "acme")
    foreign = {"Sec-Fetch-Site": "cross-site"}
    await visitor.post("/dashboard/sign-out", headers=foreign)
    assert await accounts_of(world).sessions.visitor(session_of(visitor))

    user = await world.services.store.users.by_email(MEMBER)
    link = await accounts_of(world).users.reset(user, by=COMMAND_LINE)
    refused = await browser(world).post(f"/dashboard/link/{link}", headers=foreign)
    assert refused.status_code == 403
    assert await accounts_of(world).links.find(link)


async def test_the_api_takes_its_calls_from_anywhere(world: World) -> None:
    key = await world.key()
    headers = {"Authorization": f"Bearer {key.text}", "Sec-Fetch-Site": "cross-site", "Cookie": f"{SECURE_NAME}x=x"}

    answer = await world.http.post("/api/v1/connections/conn_0000000000000000/sync", headers=headers)

    assert (answer.status_code, answer.json()) == (404, {"error": "Connection not found"})
