"""Pages answer a person's questions in a few clicks: who is late, why it failed, what changed, which key can go."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from playwright.sync_api import Locator, Page, expect

from gateway.sandbox.history import JobQuery
from gateway.sandbox.timeline import Pace, past_run
from gateway.times import format_time
from tests.browser.conftest import Site, Visit, admin, member

MOST_CLICKS = 2


def moment(**ago: float) -> str:
    return format_time(datetime.now(UTC) - timedelta(**ago))


def store(site: Site, sql: str, *values: object) -> None:
    """As Airbyte, or time, would have brought it."""
    with closing(sqlite3.connect(site.installation.database)) as connection, connection:
        connection.execute(sql, values)


@dataclass
class Person:
    """Clicks, and counts."""

    page: Page
    clicks: int = 0

    def click(self, what: Locator) -> None:
        what.click()
        self.clicks += 1


def test_the_late_customer_is_found_in_two_clicks(visit: Visit, site: Site) -> None:
    ((ours, _),) = site.installation.connections(1)
    store(
        site,
        "UPDATE connections SET label = 'Late shop', schedule = ?, schedule_since = ?, last_sync_at = ?, "
        "last_ended_at = ?, last_sync_status = 'succeeded', last_job_id = 7 WHERE id = ?",
        '{"type":"basic","every_seconds":3600}',
        moment(days=9),
        moment(hours=9),
        moment(hours=9),
        ours,
    )
    visitor = admin(visit)
    person = Person(visitor.page)

    person.click(visitor.page.get_by_role("row", name="Late shop").get_by_role("link", name="A sync is late"))

    expect(visitor.page.locator("main")).to_contain_text("A sync was due")
    expect(visitor.page.get_by_role("heading", name="Late shop")).to_be_visible()
    assert person.clicks <= MOST_CLICKS


def test_why_a_sync_failed_is_told_in_two_clicks(visit: Visit, site: Site) -> None:
    ((ours, theirs),) = site.installation.connections(1)
    job = site.installation.airbyte.sandbox.world.add_job(theirs, status="failed")
    store(
        site,
        "UPDATE connections SET label = 'Broken shop', last_sync_at = ?, last_sync_status = 'failed', last_job_id = ? "
        "WHERE id = ?",
        moment(hours=1),
        job.job_id,
        ours,
    )
    visitor = member(visit)
    visitor.goto("/dashboard")
    person = Person(visitor.page)

    person.click(visitor.page.get_by_role("row", name="Broken shop").get_by_role("link", name="The last sync failed"))

    expect(visitor.page.get_by_role("heading", name="Why it failed")).to_be_visible()
    expect(visitor.page.locator("dl.failure")).to_contain_text("Message")
    assert person.clicks <= MOST_CLICKS


def test_a_job_s_number_stands_on_one_line_beside_a_long_reason(visit: Visit, site: Site) -> None:
    ((ours, theirs),) = site.installation.connections(1)
    for _ in range(100):
        site.installation.airbyte.sandbox.world.add_job(theirs, status="failed")
    visitor = admin(visit)

    visitor.goto(f"/dashboard/admin/connections/{ours}")

    expect(visitor.page.get_by_role("columnheader", name="Reason")).to_be_visible()
    number = visitor.page.locator(".jobs tbody th a").first
    assert len(number.inner_text()) > 1
    assert number.evaluate("link => link.getClientRects().length") == 1


def test_two_months_are_compared_in_two_clicks(visit: Visit, site: Site) -> None:
    ((ours, theirs),) = site.installation.connections(1)
    store(site, "UPDATE connections SET label = 'Busy shop' WHERE id = ?", ours)
    this = datetime.now(UTC)
    last = this.replace(day=1) - timedelta(days=1)
    for at, rows in ((this, 300), (last, 200)):
        site.installation.airbyte.sandbox.world.add_job(
            theirs, created_at=at.timestamp() - 60, duration_seconds=1, rows=rows
        )
    visitor = member(visit)
    visitor.goto("/dashboard/connections")
    expect(visitor.page.get_by_role("row", name="Busy shop")).to_contain_text("300 rows")
    person = Person(visitor.page)

    person.click(visitor.page.get_by_role("link", name="two months beside each other"))

    row = visitor.page.get_by_role("row", name="Busy shop")
    expect(row).to_contain_text("300 200 +50 %")
    visitor.page.get_by_label("Month").select_option(f"{last:%Y-%m}")
    visitor.page.get_by_label("Compared with").select_option(f"{this:%Y-%m}")
    person.click(visitor.page.get_by_role("button", name="Compare"))
    expect(row).to_contain_text("200 300 -33 %")
    assert person.clicks <= MOST_CLICKS


def test_an_old_key_is_found_and_retired(visit: Visit, site: Site) -> None:
    visitor = member(visit)
    visitor.create_key("forgotten program")
    store(site, "UPDATE api_keys SET created_at = ? WHERE name = 'forgotten program'", moment(days=40))
    visitor.goto("/dashboard/settings/api-keys")
    person = Person(visitor.page)

    person.click(visitor.page.get_by_role("row", name="forgotten program").get_by_role("link", name="safe to retire"))
    expect(visitor.page.locator("main")).to_contain_text("nothing has ever called with this key")
    person.click(visitor.page.get_by_text("Revoke this key", exact=True))
    person.click(visitor.page.get_by_role("button", name="Revoke this key now"))

    expect(visitor.page.get_by_role("status")).to_contain_text("The key is revoked")
    assert person.clicks == MOST_CLICKS + 1  # the question whether to revoke it is one


def test_times_are_the_reader_s_with_utc_beside_them(visit: Visit, site: Site) -> None:
    ((ours, theirs),) = site.installation.connections(1)
    at = datetime(2026, 11, 1, 23, 30, tzinfo=UTC)
    job = site.installation.airbyte.sandbox.world.add_job(theirs, created_at=at.timestamp())
    path = f"/dashboard/connections/{ours}/jobs/{job.job_id}"

    for options, told in (
        ({"timezone_id": "Europe/Berlin"}, "2 Nov 2026, 00:30 CET (1 Nov 2026, 23:30 UTC)"),
        ({"timezone_id": "America/New_York"}, "1 Nov 2026, 18:30 GMT-5 (23:30 UTC)"),
        ({"timezone_id": "UTC"}, "1 Nov 2026, 23:30 UTC"),
        ({"timezone_id": "Europe/Berlin", "java_script_enabled": False}, "1 Nov 2026, 23:30 UTC"),
    ):
        visitor = member(visit, **options)
        visitor.goto(path)
        assert visitor.page.locator("time[datetime]").first.inner_text() == told


def test_a_page_follows_a_sync_to_its_end(visit: Visit, site: Site) -> None:
    ((ours, theirs),) = site.installation.connections(1)
    world = site.installation.airbyte.sandbox.world
    history, world.pace = world.history, Pace(running_seconds=3600.0)
    scripted, plain = member(visit), member(visit, java_script_enabled=False)
    scripted.goto(f"/dashboard/connections/{ours}")
    scripted.page.get_by_role("button", name="Sync now").click()
    plain.goto(f"/dashboard/connections/{ours}")
    expect(scripted.page.get_by_role("status")).to_contain_text("has started")
    expect(scripted.page.get_by_role("heading", name="Running now")).to_be_visible()
    expect(scripted.page.get_by_role("link", name="Refresh")).to_be_hidden()

    ((job, _),) = history.select(JobQuery(connection_id=theirs))
    history.put(replace(job, steps=past_run("succeeded", job.created_at, 1.0)))

    expect(scripted.page.get_by_role("heading", name="Running now")).to_be_hidden()
    expect(scripted.page.get_by_text("has started")).to_be_hidden()
    expect(scripted.page.locator("#history")).to_contain_text("succeeded")
    plain.page.get_by_role("link", name="Refresh").click()
    expect(plain.page.locator("#history")).to_contain_text("succeeded")
    expect(plain.page.get_by_role("link", name="Refresh")).to_be_hidden()
