"""Keys and links that are shown once: in the answer to the form, and neither after a reload nor by going back."""

import re

import pytest
from playwright.sync_api import Error, Route, expect

from gateway.auth.keys import PATTERN
from tests.browser.conftest import Site, Visit, Watched, admin, member

SHOWN_ONCE = "It was shown once and cannot be shown again"


def keys_named(site: Site, name: str) -> int:
    ((number,),) = site.installation.rows(f"SELECT count(*) FROM api_keys WHERE name = '{name}'")
    return int(number)


def open_key(visitor: Watched, name: str) -> None:
    visitor.goto("/dashboard/settings/api-keys")
    visitor.page.get_by_role("link", name=name).click()


@pytest.mark.parametrize("scripted", [True, False], ids=["with-script", "without-script"])
def test_a_reload_creates_no_second_key_and_says_that_the_first_is_not_shown_again(
    visit: Visit, site: Site, scripted: bool
) -> None:
    visitor = member(visit, java_script_enabled=scripted)
    key = visitor.create_key(f"reloaded {scripted}")

    visitor.page.reload()

    expect(visitor.page.locator(".warning")).to_contain_text(SHOWN_ONCE)
    assert key not in visitor.page.content()
    assert keys_named(site, f"reloaded {scripted}") == 1


def fill_new_key(visitor: Watched, name: str) -> None:
    visitor.goto("/dashboard/settings/api-keys")
    if not visitor.page.get_by_label("Name").is_visible():
        visitor.page.get_by_text("New key", exact=True).click()
    visitor.page.get_by_label("Name").fill(name)


def test_going_back_leads_to_the_page_of_the_key(visit: Visit, site: Site) -> None:
    visitor = member(visit)
    key = visitor.create_key("left")
    visitor.page.get_by_role("link", name="Usage").click()
    expect(visitor.page.get_by_role("heading", name="Usage")).to_be_visible()

    visitor.page.go_back()

    expect(visitor.page.locator(".warning")).to_contain_text(SHOWN_ONCE)
    assert key not in visitor.page.content()
    assert keys_named(site, "left") == 1


def test_going_back_without_script_submits_nothing_again(visit: Visit, site: Site) -> None:
    visitor = member(visit, java_script_enabled=False)
    visitor.create_key("left without script")
    visitor.page.get_by_role("link", name="Usage").click()
    expect(visitor.page.get_by_role("heading", name="Usage")).to_be_visible()

    # The browser itself asks whether to submit the form again.
    with pytest.raises(Error, match="ERR_CACHE_MISS"):
        visitor.page.go_back()

    assert keys_named(site, "left without script") == 1


def test_every_link_beside_a_new_key_leads_to_a_page(visit: Visit) -> None:
    visitor = member(visit)
    visitor.create_key("surrounded by links")

    links = visitor.page.evaluate("[...document.links].filter(link => !link.hash).map(link => link.href)")

    assert len(links) > len(["overview", "settings", "usage", "activity"])
    assert {visitor.page.request.get(link).status for link in links} == {200}


def test_a_rotated_key_is_shown_and_not_after_a_reload(visit: Visit, site: Site) -> None:
    visitor = member(visit)
    old = visitor.create_key("rotated")
    open_key(visitor, "rotated")
    visitor.page.get_by_role("button", name="Rotate").click()
    new = visitor.page.locator("#secret").inner_text()
    assert re.fullmatch(PATTERN, new)
    assert new != old

    visitor.page.reload()

    expect(visitor.page.locator(".warning")).to_contain_text(SHOWN_ONCE)
    assert new not in visitor.page.content()
    assert keys_named(site, "rotated") == 2


def test_a_form_submitted_again_before_the_answer_is_sent_once(visit: Visit, site: Site) -> None:
    visitor = member(visit)
    page, path = visitor.page, "/dashboard/settings/api-keys"
    submissions: list[Route] = []
    fill_new_key(visitor, "entered twice")

    def hold(route: Route) -> None:
        submissions.append(route)

    page.route(f"**{path}", hold)

    with page.expect_request(f"**{path}"):
        page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    for route in submissions:
        route.continue_()

    expect(page.locator("#secret")).to_contain_text("smrt_")
    assert len(submissions) == 1
    assert keys_named(site, "entered twice") == 1


def test_a_double_click_without_script_loses_no_key_in_silence(visit: Visit, site: Site) -> None:
    visitor = member(visit, java_script_enabled=False)
    fill_new_key(visitor, "clicked twice without script")

    visitor.page.get_by_role("button", name="Create key").dblclick()

    expect(visitor.page.locator(f"#secret, .warning:has-text('{SHOWN_ONCE}')")).to_be_visible()
    assert keys_named(site, "clicked twice without script") == 1


@pytest.mark.parametrize("scripted", [True, False], ids=["with-script", "without-script"])
def test_the_link_of_an_invitation_is_shown_and_not_after_a_reload(visit: Visit, site: Site, scripted: bool) -> None:
    operator = admin(visit, java_script_enabled=scripted)
    email = f"invited-{scripted}@example.com".lower()
    operator.goto("/dashboard/admin/users")
    operator.page.get_by_label("E-mail address").fill(email)
    operator.page.get_by_label("Member of").select_option("acme")
    operator.page.get_by_role("button", name="Make a link", exact=True).click()
    link = operator.page.locator("#new-link").inner_text()

    operator.page.reload()

    expect(operator.page.get_by_role("status")).to_contain_text(SHOWN_ONCE)
    assert link not in operator.page.content()
    operator.page.get_by_role("link", name="Users").click()
    operator.accept(link)
    expect(operator.page.locator(".who")).to_contain_text(email)
