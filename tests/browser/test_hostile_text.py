"""Text that tries to become script, or to break the page: it is shown as text, and the page keeps its shape."""

import pytest

from tests.browser.conftest import Site, Visit, Watched, admin, member

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    '"><script>alert(1)</script>',
    "'><script>alert(1)</script>",
    '" onmouseover="alert(1)" x="',
    "' onfocus='alert(1)' autofocus='",
    "javascript:alert(1)",
    "<a href=javascript:alert(1)>x</a>",
    "<iframe src=javascript:alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<body onload=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<style>@import '//example.com';</style>",
    "<link rel=stylesheet href=//example.com>",
    "<meta http-equiv=refresh content='0;url=//example.com'>",
    "<base href=//example.com>",
    "<form action=//example.com><button>x",
    "</title><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "<!--<script>alert(1)</script>-->",
    "<math><mtext></mtext><script>alert(1)</script></math>",
    "{{ 7 * 7 }}{% raw %}${7*7}",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "\\u003cscript\\u003ealert(1)",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "אבגדה <script>alert(1)</script>",
    "W" * 200,
    "very " * 39 + "long",
]
MEMBER_PAGES = [
    "",
    "/connections",
    "/settings/api-keys",
    "/settings/webhooks",
    "/settings/account",
    "/usage",
    "/activity",
]
ADMIN_PAGES = [
    "/admin",
    "/admin/clients",
    "/admin/connections",
    "/admin/connections/of-clients",
    "/admin/users",
    "/admin/activity",
    "/admin/system?check=1",
]
WIDTHS = [1280, 390]


def look_at(visitor: Watched, pages: list[str]) -> None:
    for path in pages:
        for width in WIDTHS:
            visitor.page.set_viewport_size({"width": width, "height": 800})
            visitor.goto(f"/dashboard{path}")
            assert visitor.page.get_by_role("heading", level=1).count() == 1, path
            assert visitor.overflow() <= 0, (path, width)
            assert (
                visitor.page.evaluate("document.querySelectorAll('main :is(script, iframe, style, base)').length") == 0
            )


@pytest.fixture(scope="module")
def labelled(site: Site) -> list[str]:
    """A connection for each of the texts; the ids."""
    client = ["--client", "acme", "--connector-type", "custom"]
    return [
        site.installation.stage("connection", "add", *client, "--label", text, "--json").partition('"id": "')[2][:21]
        for text in HOSTILE[::3]
    ]


def test_members_read_it_as_text(visit: Visit, site: Site, labelled: list[str]) -> None:
    for text in HOSTILE[1::3]:
        site.installation.stage("key", "create", "--client", "acme", "--name", text)
    visitor = member(visit)
    for text in HOSTILE[2::3][:4]:
        visitor.create_key(text)

    look_at(visitor, [*MEMBER_PAGES, *(f"/connections/{ours}" for ours in labelled[:4])])
    visitor.goto("/docs/api")


def test_admins_read_it_as_text(visit: Visit, site: Site, labelled: list[str]) -> None:
    for number, text in enumerate(HOSTILE):
        site.installation.stage(
            "client", "add", "--slug", f"hostile-{number}", "--name", text, "--plan", text[:50].strip()
        )
    operator = admin(visit)

    look_at(operator, [*ADMIN_PAGES, "/admin/clients/hostile-0", f"/admin/connections/{labelled[0]}"])
    operator.page.set_viewport_size({"width": 1280, "height": 800})
    operator.goto("/dashboard/admin/clients?q=%3Cscript%3Ealert(1)%3C/script%3E")
