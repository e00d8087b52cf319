"""The operator's own name, logo, colour and contact, on pages, in documentation and in mails; also after a reload."""

import re
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from gateway.airbyte.tls import verifying_tls
from gateway.models import Notice
from gateway.notices.channels import MailChannel
from gateway.notices.link_mail import mail_link
from gateway.notices.mail import Mailer
from gateway.notices.timings import MailTimings
from gateway.services import Reloader
from gateway.settings.brand import Brand, CurrentBrand
from gateway.settings.secret import SecretUrl
from tests.dashboard.support import browser, signed_in, words
from tests.notices.mail_server import HOST, Inbox, mail_server
from tests.settings.test_brand import SVG
from tests.settings.test_changes import with_values
from tests.support import BOUND_SECONDS, HandClock, World, running_gateway

PAGES = ("/docs/getting-started", "/docs/api", "/dashboard/sign-in", "/dashboard", "/dashboard/nothing")
OWN = {"name": "Acme <Data>", "color": "#7a1f5c", "support": "help@acme.example"}
ESCAPED = "Acme &lt;Data&gt;"


async def test_without_settings_nothing_is_added(world: World) -> None:
    visitor = browser(world)

    page = await visitor.get("/dashboard/sign-in")

    assert "<title>Sign in · Gateway</title>" in page.text
    assert "brand.css" not in page.text
    assert "Support" not in page.text
    for name in ("brand.css", "logo"):
        assert (await visitor.get(f"/dashboard/static/{name}")).status_code == 404


async def test_every_page_has_the_own_name_colour_and_contact(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, dashboard=OWN) as world:
        await world.client_with_key()
        visitor = await signed_in(world, "acme")
        pages = [await visitor.get(path) for path in PAGES[:2] + PAGES[3:]]
        pages += [await browser(world).get(path) for path in PAGES[:3]]
        sheet = await visitor.get("/dashboard/static/brand.css")

    for page in pages:
        assert f" · {ESCAPED}</title>" in page.text
        assert f">{ESCAPED}</a>" in page.text
        assert '<a href="mailto:help@acme.example">help@acme.example</a>' in page.text
        assert 'dashboard/static/brand.css?7a1f5c"' in page.text
        assert not re.search(r"[\s\"]style=|<style", page.text)
        assert "> Gateway<" not in page.text
    assert sheet.headers["content-type"].startswith("text/css")
    assert "--button: #7a1f5c;" in sheet.text
    assert "ask help@acme.example for a link" in words(pages[-1])


async def test_a_logo_stands_for_the_name_and_can_run_nothing(tmp_path: Path) -> None:
    (tmp_path / "logo.svg").write_bytes(SVG)
    async with running_gateway(tmp_path, dashboard={**OWN, "logo_file": str(tmp_path / "logo.svg")}) as world:
        page = await browser(world).get("/docs/api")
        logo = await browser(world).get("/dashboard/static/logo")

    assert f'<img src="../dashboard/static/logo" alt="{ESCAPED}">' in page.text
    assert '<link rel="icon" href="../dashboard/static/logo">' in page.text
    assert (logo.content, logo.headers["content-type"]) == (SVG, "image/svg+xml")
    assert logo.headers["x-content-type-options"] == "nosniff"
    policy = logo.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy
    assert policy.endswith("sandbox")


async def test_a_reload_changes_pages_that_are_kept_and_a_bad_logo_changes_nothing(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as world:
        visitor, now = browser(world), world.services.settings
        before = await visitor.get("/docs/api")

        sentence = Reloader(
            lambda: with_values(now, dashboard__name="New Name", dashboard__support="https://new.example"),
            now,
            world.services,
        ).reload()
        after = await visitor.get("/docs/api", headers={"if-none-match": before.headers["etag"]})
        document = (await visitor.get("/openapi.json")).json()
        refused = Reloader(
            lambda: with_values(now, dashboard__name="Third", dashboard__logo_file="none.svg"), now, world.services
        ).reload()
        last = await visitor.get("/docs/api")

    assert sentence == "Serving"
    assert (after.status_code, "API reference · New Name</title>" in after.text) == (200, True)
    assert document["info"]["title"] == "New Name API"
    assert document["info"]["contact"] == {"name": "Support of New Name", "url": "https://new.example"}
    assert refused == "Serving with the old settings; the log says why"
    assert last.text == after.text


@pytest.mark.parametrize(
    ("brand", "subject", "text"),
    [
        (Brand(), "Set your password for this gateway", "set a password for this gateway"),
        (
            Brand("Acme Data", support="help@acme.example"),
            "Set your password for Acme Data",
            "question: help@acme.example",
        ),
    ],
    ids=["default", "own"],
)
async def test_mails_have_the_name_and_the_contact(brand: Brand, subject: str, text: str) -> None:
    inbox = Inbox()
    async with mail_server(inbox) as port:
        address = SecretUrl(f"smtp://{HOST}:{port}")
        mailer = Mailer(address, "gw@example.com", verifying_tls, HandClock(), MailTimings(message=BOUND_SECONDS))
        await mail_link(mailer, "ann@acme.example", "https://gw.example/link", brand)
        channel = MailChannel(mailer, ["ops@example.com"], "https://gw.example", CurrentBrand(brand))
        await channel.tell(Notice(matter="airbyte_down", text="It is down.", since="2026-11-30T09:00:00.000Z"))

    link, notice = (message_from_bytes(each.original_content or b"", policy=default) for each in inbox.envelopes)
    assert link["Subject"] == subject
    assert text in link.get_content()
    assert notice["Subject"] == f"[{brand.name}] It is down."
