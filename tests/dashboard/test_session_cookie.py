"""The session's cookie: whose it is among several gateways, and what it is like on one's own machine."""

from http.cookies import SimpleCookie
from pathlib import Path

import httpx2
import pytest

from tests.dashboard.support import HEADERS, HOST, accept_invitation, browser, invited
from tests.support import World, running_gateway

ACCOUNT = "/dashboard/settings/account"


def browser_at(world: World, origin: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(world.app), base_url=origin, headers=HEADERS)


async def an_admin(world: World, visitor: httpx2.AsyncClient) -> httpx2.Response:
    _, link = await invited(world, None, "admin@example.com")
    answer = await accept_invitation(visitor, link)
    assert answer.status_code == 303
    return answer


async def test_two_gateways_under_one_host_name_do_not_sign_each_other_out(tmp_path: Path, world: World) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    async with running_gateway(folder) as other:
        here, there = browser(world), browser(other)
        there.cookies = here.cookies
        await an_admin(world, here)
        await an_admin(other, there)

        assert [(await each.get(ACCOUNT)).status_code for each in (here, there)] == [200, 200]


async def test_gateways_of_one_database_have_the_same_cookie(world: World) -> None:
    ids = [await world.services.store.database_id.get(candidate) for candidate in ("first", "second")]

    assert ids == ["first", "first"]


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080"])
async def test_on_one_s_own_machine_it_needs_no_https(world: World, origin: str) -> None:
    visitor = browser_at(world, origin)

    answer = await an_admin(world, visitor)

    cookie = SimpleCookie(answer.headers["set-cookie"])
    (name,) = cookie
    assert name == "session-" + await world.services.store.database_id.get("")
    assert not cookie[name]["secure"]
    assert (cookie[name]["httponly"], cookie[name]["samesite"]) == (True, "lax")
    assert (await visitor.get(ACCOUNT)).status_code == 200


@pytest.mark.parametrize("origin", [f"http://{HOST}", "https://127.0.0.1", "https://localhost", f"https://{HOST}"])
async def test_anywhere_else_it_is_secure(world: World, origin: str) -> None:
    answer = await an_admin(world, browser_at(world, origin))

    assert answer.headers["set-cookie"].startswith("__Host-session-")
    assert "Secure" in answer.headers["set-cookie"]


async def test_the_name_of_one_s_own_machine_counts_nowhere_else(world: World) -> None:
    at_home = browser_at(world, "http://localhost")
    await an_admin(world, at_home)
    (cookie,) = at_home.cookies.jar

    answer = await browser(world).get(ACCOUNT, headers={"Cookie": f"{cookie.name}={cookie.value}"})

    assert answer.status_code == 303
