"""What is seen neither on a desk nor on a phone: a tablet, and paper."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Site, Visit, admin, member

DAYS = "?from=2026-11-10&to=2026-11-20"


@pytest.fixture(autouse=True)
def synced(site: Site) -> None:
    ((_, theirs),) = site.installation.connections(1)
    site.installation.airbyte.sandbox.world.add_job(theirs, rows=123_456)


@pytest.mark.parametrize("width", [720, 768, 1024])
def test_wide_tables_fit_a_tablet(visit: Visit, width: int) -> None:
    window = {"width": width, "height": 900}
    of_member, of_admin = member(visit, viewport=window), admin(visit, viewport=window)

    of_member.goto(f"/dashboard/connections/volume{DAYS}")
    of_admin.goto("/dashboard/admin/users")

    expect(of_member.page.get_by_role("columnheader", name="Rows, 10 Nov 2026")).to_be_visible()
    assert (of_member.overflow(), of_admin.overflow()) == (0, 0)


def test_the_figures_of_each_day_fill_no_paper(visit: Visit) -> None:
    visitor = member(visit)
    visitor.goto("/dashboard/connections")
    expect(visitor.page.locator(".day-list")).not_to_have_count(0)

    visitor.page.emulate_media(media="print")

    expect(visitor.page.locator(".day-list summary").first).to_be_visible()
    expect(visitor.page.locator(".day-list li").first).to_be_hidden()
