"""From an invitation to a key that was used and revoked, as a person goes."""

import httpx2
import pytest
from playwright.sync_api import expect
from pyotp import TOTP

from tests import plain_http
from tests.browser.conftest import PASSWORD, Site, Visit, member


def call(site: Site, key: str, path: str = "/status", method: str = "GET") -> httpx2.Response:
    return plain_http.request(method, f"{site.address}/api/v1{path}", headers={"Authorization": f"Bearer {key}"})


@pytest.mark.parametrize("scripted", [True, False], ids=["with-script", "without-script"])
def test_a_customer_helps_himself(visit: Visit, site: Site, scripted: bool) -> None:
    ((ours, _),) = site.installation.connections(1)
    visitor = member(visit, java_script_enabled=scripted)
    page = visitor.page

    key = visitor.create_key("nightly report")
    assert call(site, key).json()["client"]["slug"] == "acme"
    assert f"{site.address}/api/v1/status" in page.locator("#curl").inner_text()
    page.reload()
    assert key not in page.content()

    visitor.goto(f"/dashboard/connections/{ours}")
    page.get_by_role("button", name="Sync now").click()
    expect(page.get_by_role("status")).to_contain_text("job", ignore_case=True)
    job = call(site, key, f"/connections/{ours}/jobs").json()["data"][0]["jobId"]
    expect(page.get_by_role("table").get_by_text(str(job), exact=True)).to_be_visible()

    visitor.goto("/dashboard/settings/api-keys")
    page.get_by_role("link", name="nightly report").first.click()
    page.get_by_text("Revoke this key", exact=True).click()
    page.get_by_role("button", name="Revoke this key now").click()
    expect(page.locator("main")).to_contain_text("revoked")
    assert call(site, key).status_code == 401

    visitor.goto("/dashboard/activity")
    expect(page.locator("main")).to_contain_text("nightly report")


def test_the_link_works_once_and_the_password_from_then_on(visit: Visit, site: Site) -> None:
    link = site.invite("--client", "acme")
    first = visit()
    first.accept(link)
    email = first.page.locator(".who a").inner_text()
    first.page.get_by_role("button", name="Sign out").click()
    expect(first.page.get_by_role("heading", name="Sign in")).to_be_visible()

    second = visit()
    second.page.goto(link)
    expect(second.page.locator("main")).to_contain_text("used or has expired")

    second.goto("/dashboard/usage")
    second.page.get_by_label("E-mail address").fill(email)
    second.page.get_by_label("Password").fill(PASSWORD)
    second.page.get_by_role("button", name="Sign in").click()
    expect(second.page).to_have_url(f"{site.address}/dashboard/usage")


def test_the_keyboard_alone_is_enough_to_create_a_key(visit: Visit) -> None:
    visitor = member(visit)
    page = visitor.page
    visitor.goto("/dashboard/settings/api-keys")
    if not page.get_by_label("Name").is_visible():
        page.get_by_text("New key", exact=True).focus()
        page.keyboard.press("Enter")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == "name":
            break
    page.keyboard.type("by keyboard")
    page.keyboard.press("Enter")

    expect(page.locator("#secret")).to_contain_text("smrt_")


def test_a_second_factor_is_set_up_and_asked_for(visit: Visit, site: Site) -> None:
    visitor = member(visit)
    page = visitor.page
    visitor.goto("/dashboard/settings/account")
    email = page.locator(".who a").inner_text()
    page.get_by_role("link", name="Set up a second factor").click()
    page.get_by_label("Current password").fill(PASSWORD)
    page.get_by_role("button", name="Set up a second factor").click()
    picture = page.locator("svg.qr-code").bounding_box()
    assert picture
    assert picture["width"] == picture["height"] > 150
    secret = page.locator("#totp-secret").inner_text()
    page.get_by_label("Current password").fill(PASSWORD)
    page.get_by_label("Code of your app").fill(TOTP(secret).now())
    page.get_by_role("button", name="Switch it on").click()
    recovery_code = page.locator("#recovery-codes").inner_text().splitlines()[0]
    page.reload()
    expect(page.get_by_role("status")).to_contain_text("shown once")
    page.get_by_role("button", name="Sign out").click()

    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_label("Code", exact=True)).to_be_focused()
    visitor.goto("/dashboard/usage")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    visitor.goto("/dashboard/sign-in/code?next=dashboard/usage")
    page.get_by_text("Use a recovery code").click()
    page.get_by_label("Recovery code").fill(recovery_code)
    page.get_by_role("button", name="Sign in with a recovery code").click()

    expect(page).to_have_url(f"{site.address}/dashboard/usage")
