"""Trying a call on the API reference: the reader's key goes with the call, and nowhere else."""

import re

from playwright.sync_api import Locator, expect

from tests.browser.conftest import Visit, Watched, member


def opened(reader: Watched, operation: str) -> Locator:
    """The part of the page about one call, with its trial unfolded."""
    section = reader.page.locator("section", has=reader.page.locator(f"#{operation}"))
    section.locator("summary").first.click()
    section.get_by_text("Try it", exact=True).click()
    return section


def test_a_reader_tries_calls_with_a_key_that_stays_on_the_page(visit: Visit) -> None:
    key = member(visit).create_key("tried")
    reader = visit()
    reader.goto("/docs/api")
    sent: list[tuple[str, str | None]] = []
    reader.page.on("request", lambda request: sent.append((request.url, request.headers.get("authorization"))))
    field = reader.page.get_by_label("Your API key")

    status = opened(reader, "getStatus")
    field.fill("a password that the browser filled in")
    status.get_by_role("button", name="Check your key", exact=True).click()
    expect(status.get_by_role("status")).to_contain_text("Type your API key first")
    expect(field).to_be_focused()
    assert sent == []

    field.fill(key)
    status.get_by_role("button", name="Check your key", exact=True).click()
    expect(status.get_by_role("status")).to_contain_text("Status 200")
    answer = status.locator("form pre")
    expect(answer).to_contain_text('"slug": "acme"')
    expect(answer).to_contain_text('RateLimit-Policy: "default";q=100;w=60')

    jobs = opened(reader, "listJobs")
    jobs.get_by_label("id", exact=True).fill("conn_YourConnectionId")
    jobs.get_by_label("limit", exact=True).fill("3")
    jobs.get_by_role("button", name="List jobs of a connection", exact=True).click()
    expect(jobs.locator("form pre")).to_contain_text('"error": "Connection not found"')
    expect(jobs.get_by_role("status")).to_have_text(re.compile("^Status 404"))

    assert [authorization for _, authorization in sent] == [f"Bearer {key}"] * 2
    assert sent[1][0] == f"{reader.site.address}/api/v1/connections/conn_YourConnectionId/jobs?limit=3"
    assert key not in reader.page.url
    reader.page.reload()
    expect(field).to_have_value("")
    assert reader.page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]


def test_without_script_there_is_nothing_to_type_a_key_into(visit: Visit) -> None:
    reader = visit(java_script_enabled=False)

    reader.goto("/docs/api")

    expect(reader.page.locator("#trial-key")).to_be_hidden()
    expect(reader.page.get_by_text("Try it").first).to_be_hidden()
