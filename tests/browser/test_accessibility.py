"""Every page, wide and narrow, light and dark, before axe: nothing serious may be found."""

import json
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it has no types

from tests.browser.conftest import Site, Visit, Watched, admin, member

SERIOUS = {"serious", "critical"}
PUBLIC = [
    "/docs/api",
    "/docs/getting-started",
    "/docs/your-tools",
    "/docs/webhooks",
    "/dashboard/sign-in",
    "/dashboard/nothing-here",
]
MEMBER = [
    "/dashboard",
    "/dashboard/connections",
    "/dashboard/settings/api-keys",
    "/dashboard/settings/webhooks",
    "/dashboard/settings/account",
    "/dashboard/settings/account/second-factor",
    "/dashboard/usage",
    "/dashboard/activity",
]
ADMIN = [
    "/dashboard/admin",
    "/dashboard/admin/clients",
    "/dashboard/admin/clients/acme",
    "/dashboard/admin/connections",
    "/dashboard/admin/connections/of-clients",
    "/dashboard/admin/users",
    "/dashboard/admin/activity",
    "/dashboard/admin/system?check=1",
]
WINDOWS: list[tuple[int, Literal["light", "dark"]]] = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]


def examine(visitor: Watched, paths: list[str]) -> None:
    page = visitor.page
    for path in paths:
        visitor.goto(path)
        for width, scheme in WINDOWS:
            page.set_viewport_size({"width": width, "height": 800})
            page.emulate_media(color_scheme=scheme)
            found = [
                (each["id"], node["html"])
                for each in Axe().run(page).response["violations"]
                if each["impact"] in SERIOUS
                for node in each["nodes"]
            ]
            assert found == [], (path, width, scheme)
            assert visitor.overflow() <= 0, (path, width)


def test_public_pages(visit: Visit) -> None:
    examine(visit(bypass_csp=True), PUBLIC)


def test_the_page_of_a_link(visit: Visit, site: Site) -> None:
    examine(visit(bypass_csp=True), [site.invite("--client", "acme").removeprefix(site.address)])


def test_pages_of_members(visit: Visit, site: Site) -> None:
    ((ours, theirs),) = site.installation.connections(1)
    jobs = [site.installation.airbyte.sandbox.world.add_job(theirs, status="failed") for _ in range(3)]
    visitor = member(visit, bypass_csp=True)
    visitor.create_key("seen by axe")
    shown = visitor.page.locator("[data-once]").get_attribute("data-once") or ""
    path = f"/dashboard/settings/api-keys/{shown.rpartition('/')[2].partition('?')[0]}"

    webhook = json.loads(
        site.installation.stage("webhook", "add", "--client", "acme", "--url", "https://hooks.example/a", "--json")
    )
    connection = f"/dashboard/connections/{ours}"
    webhook_path = f"/dashboard/settings/webhooks/{webhook['id']}"
    examine(visitor, [*MEMBER, connection, f"{connection}/jobs/{jobs[-1].job_id}", path, webhook_path])


def test_pages_of_admins(visit: Visit, site: Site) -> None:
    ((ours, theirs),) = site.installation.connections(1)
    job = site.installation.airbyte.sandbox.world.add_job(theirs, status="failed")
    connection = f"/dashboard/admin/connections/{ours}"

    examine(admin(visit, bypass_csp=True), [*ADMIN, connection, f"{connection}/jobs/{job.job_id}"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_key_shown_once_can_be_read(visit: Visit, scheme: str) -> None:
    visitor = member(visit, bypass_csp=True, color_scheme=scheme)
    visitor.create_key("shown")

    found = [each["id"] for each in Axe().run(visitor.page).response["violations"] if each["impact"] in SERIOUS]
    assert found == []
