"""Every page with a lot in it before axe: from 320 px up, light, dark, in forced colours. None is endless or too wide.

Each page is loaded once and looked at in three windows; with EVERY_WINDOW=1, as in `make full`, in all nine.
"""

import os
from itertools import product
from typing import Literal, NamedTuple

import pyotp
import pytest
from axe_playwright_python.base import AXE_SCRIPT  # type: ignore[import-untyped]  # it has no types

from gateway.dashboard.app import routes
from gateway.dashboard.shortcuts import TYPED
from gateway.dashboard.timings import PageTimings
from tests.browser.conftest import PASSWORD, Site, Visit, Watched, admin, member
from tests.browser.crowd import OF_ACME

TALLEST = 6_000
"""Pixels. Some seven screens of a phone."""
HEIGHT = 800
AXE = """axe.run(document, {resultTypes: ["violations"]}).then(
    (found) => found.violations.map((each) => [each.id, each.impact, each.nodes[0].html]))"""


Scheme = Literal["light", "dark", "forced"]


class Window(NamedTuple):
    """What a page is looked at through."""

    width: int
    scheme: Scheme


SCHEMES: tuple[Scheme, ...] = ("light", "dark", "forced")
WINDOWS = (
    [Window(width, scheme) for width, scheme in product((1280, 390, 320), SCHEMES)]
    if os.environ.get("EVERY_WINDOW")
    else [Window(320, "light"), Window(1280, "dark"), Window(390, "forced")]
)

DOCS = ("api", "getting-started", "your-tools", "webhooks")
PUBLIC = {
    "/docs/{page}": [f"/docs/{name}" for name in DOCS],
    "/dashboard/sign-in": ["/dashboard/sign-in"],
}
INVITED = "/dashboard/link/{secret}"
SECOND_FACTOR = "/dashboard/settings/account/second-factor"
CODE = "/dashboard/sign-in/code"
FAR_AWAY = "Pacific/Kiritimati"
"""Where times are the longest: nearly always of another day than in UTC, which stands beside them."""
CONNECTION = "/dashboard/connections/{id}"
KEYS = "/dashboard/settings/api-keys"
WEBHOOKS = "/dashboard/settings/webhooks"
MEMBER = {
    "/dashboard": ["/dashboard"],
    "/dashboard/connections": ["/dashboard/connections"],
    "/dashboard/connections/volume": ["/dashboard/connections/volume"],
    CONNECTION: ["/dashboard/connections/{connection}"],
    f"{CONNECTION}/jobs/{{job}}": ["/dashboard/connections/{connection}/jobs/{job}"],
    KEYS: [KEYS, f"{KEYS}?show=ended"],
    f"{KEYS}/{{key}}": [f"{KEYS}/{{key}}"],
    WEBHOOKS: [WEBHOOKS],
    f"{WEBHOOKS}/{{webhook}}": [f"{WEBHOOKS}/{{webhook}}"],
    "/dashboard/settings/account": ["/dashboard/settings/account"],
    "/dashboard/usage": ["/dashboard/usage?period=30d"],
    "/dashboard/activity": ["/dashboard/activity", "/dashboard/activity?person=nobody"],
}
CLIENT = "/dashboard/admin/clients/{slug}"
ADMIN_CONNECTIONS = "/dashboard/admin/connections"
ADMIN = {
    "/dashboard/admin": ["/dashboard/admin"],
    "/dashboard/admin/clients": ["/dashboard/admin/clients"],
    CLIENT: [CLIENT],
    f"{CLIENT}/volume": [f"{CLIENT}/volume"],
    f"{CLIENT}/users": [f"{CLIENT}/users"],
    f"{CLIENT}/settings": [f"{CLIENT}/settings"],
    f"{CLIENT}/api-keys": [f"{CLIENT}/api-keys"],
    f"{CLIENT}/api-keys/{{key}}": [f"{CLIENT}/api-keys/{{key}}"],
    f"{CLIENT}/webhooks": [f"{CLIENT}/webhooks"],
    f"{CLIENT}/webhooks/{{webhook}}": [f"{CLIENT}/webhooks/{{webhook}}"],
    ADMIN_CONNECTIONS: [ADMIN_CONNECTIONS],
    f"{ADMIN_CONNECTIONS}/assign": [f"{ADMIN_CONNECTIONS}/assign"],
    f"{ADMIN_CONNECTIONS}/of-clients": [f"{ADMIN_CONNECTIONS}/of-clients"],
    f"{ADMIN_CONNECTIONS}/{{id}}": [f"{ADMIN_CONNECTIONS}/{{connection}}"],
    f"{ADMIN_CONNECTIONS}/{{id}}/jobs/{{job}}": [f"{ADMIN_CONNECTIONS}/{{connection}}/jobs/{{job}}"],
    "/dashboard/admin/users": ["/dashboard/admin/users"],
    "/dashboard/admin/activity": ["/dashboard/admin/activity"],
    "/dashboard/admin/system": ["/dashboard/admin/system?check=1"],
}
NOT_PAGES = {"/", "/docs", "/llms.txt", "/dashboard/static/{name}", "/{path:path}/", "/dashboard/settings", *TYPED}
"""Routes that redirect, or answer with a file; and those of CSV files."""


@pytest.fixture(scope="module")
def site(crowded_site: Site) -> Site:
    return crowded_site


def test_every_route_of_a_page_is_looked_at() -> None:
    paths = {route.path for route in routes(PageTimings()) if "GET" in (route.methods or set())}
    pages = {path for path in paths - NOT_PAGES if not path.endswith(".csv")}

    assert pages == {*PUBLIC, INVITED, SECOND_FACTOR, CODE, *MEMBER, *ADMIN}


def addresses(pages: dict[str, list[str]], site: Site) -> list[str]:
    ids = site.crowd
    assert ids is not None
    names = {"slug": "acme", "connection": ids.connection, "job": ids.job, "key": ids.key, "webhook": ids.webhook}
    return [address.format_map(names) for page in pages.values() for address in page]


def examine(visitor: Watched, paths: list[str]) -> None:
    """Load each page, and find nothing wrong with it."""
    found = []
    for path in paths:
        visitor.goto(path)
        found += troubles(visitor, path)
    assert not found, "\n".join(map(str, found))


def troubles(visitor: Watched, path: str) -> list[tuple[object, ...]]:
    """What is wrong with the page that is loaded, in each window."""
    page, found = visitor.page, list[tuple[object, ...]]()
    page.evaluate(AXE_SCRIPT)
    for window in WINDOWS:
        page.set_viewport_size({"width": window.width, "height": HEIGHT})
        page.emulate_media(
            color_scheme="dark" if window.scheme == "dark" else "light",
            forced_colors="active" if window.scheme == "forced" else "none",
        )
        found += [(path, window, *each) for each in page.evaluate(AXE)]
        if (wide := visitor.overflow()) > 0:
            found.append((path, window, "too wide by", wide))
        tall = page.evaluate("document.documentElement.scrollHeight")
        if tall > TALLEST:
            found.append((path, window, "too tall", tall))
    return found


def test_pages_for_everybody(visit: Visit, site: Site) -> None:
    invited = site.invite("--client", "acme").removeprefix(site.address)

    examine(
        visit(bypass_csp=True),
        [*PUBLIC["/docs/{page}"], *PUBLIC["/dashboard/sign-in"], "/dashboard/nothing-here", invited],
    )


def test_pages_of_members(visit: Visit, site: Site) -> None:
    visitor = member(visit, bypass_csp=True, timezone_id=FAR_AWAY)

    examine(visitor, addresses(MEMBER, site))

    visitor.goto(WEBHOOKS)
    visitor.page.get_by_text("New webhook", exact=True).click()
    visitor.page.get_by_text("Only some connections").click()
    assert visitor.page.locator("input[name^=connection-]").count() == OF_ACME["connections"]
    assert troubles(visitor, "a new webhook") == []


def test_pages_of_admins(visit: Visit, site: Site) -> None:
    visitor = admin(visit, bypass_csp=True, timezone_id=FAR_AWAY)

    examine(visitor, addresses(ADMIN, site))


def test_pages_of_a_second_factor(visit: Visit) -> None:
    visitor = member(visit, bypass_csp=True, timezone_id=FAR_AWAY)
    page = visitor.page
    email = page.locator(".who a").inner_text()
    visitor.goto(SECOND_FACTOR)
    found = troubles(visitor, SECOND_FACTOR)

    page.get_by_label("Current password").fill(PASSWORD)
    page.get_by_role("button", name="Set up a second factor").click()
    found += troubles(visitor, "setting it up")
    page.get_by_label("Current password").fill(PASSWORD)
    page.get_by_label("Code of your app").fill(pyotp.TOTP(page.locator("#totp-secret").inner_text()).now())
    page.get_by_role("button", name="Switch it on").click()
    found += troubles(visitor, "recovery codes")
    visitor.goto(SECOND_FACTOR)
    found += troubles(visitor, "switched on")

    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**{CODE}*")
    found += troubles(visitor, CODE)

    assert not found, "\n".join(map(str, found))


def test_what_is_shown_once_can_be_read(visit: Visit, site: Site) -> None:
    site.installation.stage("client", "add", "--name", "Empty", "--slug", "empty")
    visitor = visit(bypass_csp=True)
    visitor.accept(site.invite("--client", "empty"))

    visitor.create_key("shown")

    assert troubles(visitor, "a new key") == []
