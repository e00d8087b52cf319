"""Browsers: what keeps cookies, says that forms come from our own pages and wants HTML."""

import csv
import html
import io
import re
import secrets

import httpx2

from gateway.auth.accounts import Accounts, build_accounts
from gateway.auth.passwords import Passwords
from gateway.dashboard.session_cookie import SECURE_NAME
from gateway.models import COMMAND_LINE, User
from gateway.syncs.cursor import Position
from tests.support import World

PASSWORD = "orchard lantern gravel tide"
HEADERS = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
HOST = "gateway.example"


def accounts_of(world: World) -> Accounts:
    """As the command line has them."""
    return build_accounts(world.services.store, Passwords(), world.clock, secrets.choice, world.services.timings.auth)


def browser(world: World, address: str = "127.0.0.1") -> httpx2.AsyncClient:
    """Over HTTPS: a Secure cookie is sent back nowhere else. Follows no redirects, so that tests see them."""
    transport = httpx2.ASGITransport(app=world.app, client=(address, 50000))
    return httpx2.AsyncClient(transport=transport, base_url=f"https://{HOST}", headers=HEADERS)


async def invited(world: World, client_slug: str | None, email: str) -> tuple[User, str]:
    """A new member of the client, or admin, and the path of the link to set a password with."""
    user, secret = await accounts_of(world).users.invite(email, client_slug, by=COMMAND_LINE)
    return user, f"/dashboard/link/{secret}"


async def accept_invitation(visitor: httpx2.AsyncClient, path: str, password: str = PASSWORD) -> httpx2.Response:
    return await visitor.post(path, data={"password": password, "again": password})


async def signed_in(world: World, client_slug: str | None, email: str = "") -> httpx2.AsyncClient:
    """The browser of a new member of the client; of a new admin if there is no client."""
    _, path = await invited(world, client_slug, email or f"{client_slug or 'admin'}@example.com")
    visitor = browser(world)
    answer = await accept_invitation(visitor, path)
    assert answer.status_code == 303
    return visitor


async def sealed_number(world: World, number: int, client_id: int = 1) -> str:
    """What an address of the client's says of the number of a row; client 0 stands for operators."""
    seal = await world.services.syncs.chosen_jobs.cursor_seal()
    return seal.seal(client_id, Position(0, number)).encode()


def session_of(visitor: httpx2.AsyncClient) -> str:
    """The secret in the browser's cookie; empty when nobody is signed in."""
    return next((cookie.value or "" for cookie in visitor.cookies.jar if cookie.name.startswith(SECURE_NAME)), "")


async def cookie_name(world: World) -> str:
    """What browsers that use HTTPS call the cookie of a session."""
    return SECURE_NAME + await world.services.store.database_id.get("test")


async def give_session(world: World, visitor: httpx2.AsyncClient, secret: str) -> None:
    """Whatever the browser had before, its cookie now holds this."""
    visitor.cookies.set(await cookie_name(world), secret, domain=HOST, path="/")


async def followed(visitor: httpx2.AsyncClient, answer: httpx2.Response) -> httpx2.Response:
    """The page that the answer to a form leads to."""
    assert answer.status_code == 303, answer.text
    return await visitor.get(answer.url.join(answer.headers["location"]))


def words(answer: httpx2.Response) -> str:
    """What the page says, without markup."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())


def plain(markup: str) -> str:
    """The words of a piece of a page, as close together as they stand there."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", markup)).split())


def rows_of(markup: str) -> list[list[str]]:
    """The words of each cell of a table's rows, without those of its head."""
    rows = re.findall(r"<tr>(.*?)</tr>", markup.partition("</thead>")[2], re.DOTALL)
    return [[plain(cell) for cell in re.findall(r"<t[hd]\b[^>]*>(.*?)</t[hd]>", row, re.DOTALL)] for row in rows]


def csv_of(answer: httpx2.Response) -> list[list[str]]:
    """The rows of a file, its header first."""
    assert answer.status_code == 200, answer.text
    return list(csv.reader(io.StringIO(answer.text, newline="")))
