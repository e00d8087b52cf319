"""What people come for, with a lot in the lists: how many clicks it takes them."""

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Site, Visit, Watched, admin, member
from tests.browser.crowd import NEWCOMER, OF_NEWCOMER, SPARE


class Person:
    """Clicks, and counts that."""

    def __init__(self, visitor: Watched) -> None:
        self.page = visitor.page
        self.clicks = 0

    def click(self, what: Locator) -> None:
        self.clicks += 1
        what.click()

    def link(self, name: str, *, exact: bool = False) -> None:
        self.click(self.page.get_by_role("link", name=name, exact=exact))

    def button(self, name: str, *, exact: bool = False) -> None:
        self.click(self.page.get_by_role("button", name=name, exact=exact))


@pytest.fixture(scope="module")
def site(crowded_site: Site) -> Site:
    return crowded_site


def test_a_customer_with_200_connections_is_on_board_in_twelve_clicks(visit: Visit, site: Site) -> None:
    visitor = admin(visit)
    person = Person(visitor)
    page = person.page

    person.link("Clients")
    person.click(page.get_by_text("New client", exact=True))
    page.get_by_label("Name", exact=True).fill(NEWCOMER)
    page.get_by_label("Slug", exact=True).fill("northwind")
    person.button("Create client")
    person.link("from Airbyte’s list")
    person.link(f"Assign all {OF_NEWCOMER} of this workspace …")
    person.button(f"Assign {OF_NEWCOMER}")
    expect(page.get_by_role("status")).to_contain_text("The client sees the connections")
    expect(page.locator("main")).to_contain_text(f"1 to 20 of {OF_NEWCOMER}")

    person.click(page.get_by_label("Client").get_by_role("link", name="API keys"))
    page.get_by_label("Name", exact=True).fill("first program")
    person.button("Create key")
    expect(page.locator("#secret")).to_contain_text("smrt_")

    person.click(page.get_by_label("Dashboard").get_by_role("link", name="Users"))
    page.get_by_label("E-mail address").fill("ann@northwind.example")
    page.get_by_label("Member of").select_option("northwind")
    person.button("Make a link", exact=True)
    expect(page.locator("main")).to_contain_text("/dashboard/link/")

    assert person.clicks <= 12
    owned = "SELECT count(*) FROM connections JOIN clients ON clients.id = client_id WHERE slug = 'northwind'"
    assert site.installation.rows(owned) == [(OF_NEWCOMER,)]


def test_ticks_stay_without_a_script(visit: Visit, site: Site) -> None:
    visitor = admin(visit, java_script_enabled=False)
    page = visitor.page
    visitor.goto("/dashboard/admin/connections?client=client-002")
    page.get_by_label("Airbyte workspace").select_option(label=SPARE)
    page.get_by_role("button", name="Show", exact=True).click()
    page.get_by_role("checkbox").first.check()

    page.get_by_role("button", name="Next →").click()
    page.get_by_role("checkbox").first.check()
    page.get_by_role("button", name="← Previous").click()
    expect(page.get_by_role("checkbox").first).to_be_checked()
    page.get_by_role("button", name="In Airbyte", exact=True).click()
    expect(page.get_by_role("columnheader", name="In Airbyte")).to_have_attribute("aria-sort", "ascending")
    expect(page.get_by_role("checkbox").first).to_be_checked()
    page.get_by_role("textbox", name="Label of").first.press("Enter")

    expect(page.get_by_role("status")).to_contain_text("The client sees the connections")
    assert site.installation.rows("SELECT count(*) FROM connections WHERE client_id = 2") == [(5,)]


def test_an_old_key_is_found_and_retired(visit: Visit, site: Site) -> None:
    person = Person(member(visit))
    page = person.page

    person.link("Settings", exact=True)
    person.link("Last used")
    person.link("Last used")
    oldest = page.get_by_role("rowheader").first.get_by_role("link")
    words = oldest.inner_text()
    person.click(oldest)
    person.click(page.get_by_text("Revoke this key", exact=True))
    person.button("Revoke this key now")

    expect(page.locator("main")).to_contain_text("revoked")
    assert person.clicks <= 6
    (revoked,) = site.installation.rows("SELECT revoked_at IS NOT NULL FROM api_keys WHERE name = ?", words)
    assert revoked == (1,)
