"""A real browser before a real gateway: Debian's Chromium, `gateway serve` in its own process, a sandbox Airbyte."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.crowd import Crowd, fill
from tests.faults.installation import Installation, Served, install, sandbox_airbyte
from tests.programs import required_program
from tests.support import BOUND_SECONDS

PASSWORD = "three grey pebbles on the shore"
OPTIONS = [
    "--no-sandbox",  # tests run as root in containers
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
WATCH = "addEventListener('securitypolicyviolation', event => console.error('violation: ' + event.blockedURI))"
numbers = count(1)
expect.set_options(timeout=BOUND_SECONDS * 1000)


@dataclass
class Site:
    """A gateway with the client `acme`, as its operator has it."""

    installation: Installation
    served: Served
    crowd: Crowd | None = None

    @property
    def address(self) -> str:
        return self.served.address

    def invite(self, *who: str) -> str:
        """The address of a new person's link."""
        email = f"person{next(numbers)}@example.com"
        return self.address + urlsplit(self.installation.stage("user", "invite", "--email", email, *who)).path


@dataclass
class Watched:
    """A browser's page, and whatever went wrong on it."""

    page: Page
    site: Site
    troubles: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("pageerror", lambda error: self.troubles.append(f"script: {error}"))
        self.page.on("dialog", lambda dialog: self.troubles.append(f"dialog: {dialog.message}"))
        self.page.on("console", lambda message: self._hear(message.type, message.text))

    def _hear(self, kind: str, text: str) -> None:
        # The browser itself notes every status from 400 on; those are the tests' own doing.
        if kind == "error" and "the server responded with a status" not in text:
            self.troubles.append(f"console: {text}")

    def goto(self, path: str) -> None:
        self.page.goto(self.site.address + path)

    def accept(self, link: str) -> None:
        """Set a password by the link, and be signed in."""
        self.page.goto(link)
        self.page.get_by_label("Password", exact=True).fill(PASSWORD)
        self.page.get_by_label("Repeat the password").fill(PASSWORD)
        self.page.get_by_role("button", name="Set password and sign in").click()
        self.page.wait_for_url("**/dashboard**")

    def create_key(self, name: str) -> str:
        """The text of a new key, as the page shows it."""
        self.goto("/dashboard/settings/api-keys")
        if not self.page.get_by_label("Name").is_visible():
            self.page.get_by_text("New key", exact=True).click()
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_role("button", name="Create key").click()
        return self.page.locator("#secret").inner_text()

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve a site to one module: a client has so many keys at most, whichever modules a worker runs."""
    with sandbox_airbyte() as airbyte:
        installation = install(tmp_path_factory.mktemp("site"), airbyte)
        with installation.serve() as served:
            yield Site(installation, served)


@pytest.fixture(scope="module")
def crowded_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve a site with a lot in it, its `crowd`."""
    with sandbox_airbyte() as airbyte:
        installation = install(tmp_path_factory.mktemp("site"), airbyte)
        crowd = fill(installation)
        with installation.serve() as served:
            yield Site(installation, served, crowd)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Start a browser.

    For one module: as long as Playwright runs, its event loop is this thread's, and no asynchronous test could begin.
    """
    program = required_program("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        yield browser
        browser.close()


Visit = Callable[..., Watched]


@pytest.fixture
def visit(chromium: Browser, site: Site) -> Iterator[Visit]:
    """Opens windows, each with cookies of its own; at the end nothing may have gone wrong in any."""
    contexts: list[BrowserContext] = []
    pages: list[Watched] = []

    def open_page(**options: object) -> Watched:
        context = chromium.new_context(**options)  # type: ignore[arg-type]  # Playwright's own options
        context.set_default_timeout(BOUND_SECONDS * 1000)
        context.add_init_script(WATCH)
        contexts.append(context)
        watched = Watched(context.new_page(), site)
        watched.watch()
        pages.append(watched)
        return watched

    yield open_page
    troubles = [trouble for watched in pages for trouble in watched.troubles]
    for context in contexts:
        context.close()
    assert troubles == []


def member(visit: Visit, **options: object) -> Watched:
    """A new member of `acme`, signed in."""
    watched = visit(**options)
    watched.accept(watched.site.invite("--client", "acme"))
    return watched


def admin(visit: Visit, **options: object) -> Watched:
    watched = visit(**options)
    watched.accept(watched.site.invite("--admin"))
    return watched
