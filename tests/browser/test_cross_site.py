"""What another site can do in a visitor's browser: nothing."""

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from tests.browser.conftest import Site, Visit, admin, member
from tests.cli.conftest import serving

FORMS = [
    ("/dashboard/settings/api-keys", "application/x-www-form-urlencoded"),
    ("/dashboard/settings/api-keys", "text/plain"),
    ("/dashboard/sign-in", "application/x-www-form-urlencoded"),
    ("/dashboard/sign-out", "application/x-www-form-urlencoded"),
    ("/dashboard/settings/account/sign-out-everywhere", "application/x-www-form-urlencoded"),
]


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    """Another site: it sends a form to `target`, or frames it."""

    async def attack(request: Request) -> HTMLResponse:
        target, kind = request.query_params["target"], request.query_params["kind"]
        if kind == "frame":
            return HTMLResponse(f"<iframe src='{target}'></iframe>")
        return HTMLResponse(
            f"<form id=f method=post action='{target}' enctype='{kind}'><input name=name value=stolen>"
            "<input name=scope value=full><input name=expires value=never></form><script>f.submit()</script>"
        )

    with serving(Starlette(routes=[Route("/", attack)])) as (address, _):
        # Another name of this machine, so that it is another site and not just another port.
        yield address.replace("127.0.0.1", "localhost")


@pytest.mark.parametrize(("path", "kind"), FORMS)
def test_a_form_of_another_site_is_refused(visit: Visit, site: Site, elsewhere: str, path: str, kind: str) -> None:
    visitor = member(visit)
    with visitor.page.expect_response(f"{site.address}{path}") as answer:
        visitor.page.goto(f"{elsewhere}/?kind={kind}&target={site.address}{path}")

    assert answer.value.status == 403
    visitor.goto("/dashboard/settings/api-keys")
    assert visitor.page.get_by_role("link", name="stolen").count() == 0


def test_a_form_of_another_site_is_refused_in_an_admin_s_browser_too(visit: Visit, site: Site, elsewhere: str) -> None:
    operator = admin(visit)
    target = f"{site.address}/dashboard/admin/clients/acme/disable"
    with operator.page.expect_response(target) as answer:
        operator.page.goto(f"{elsewhere}/?kind=application/x-www-form-urlencoded&target={target}")

    assert answer.value.status == 403
    assert site.installation.rows("SELECT disabled_at FROM clients WHERE slug = 'acme'") == [(None,)]


def test_no_page_can_be_framed(visit: Visit, site: Site, elsewhere: str) -> None:
    visitor = member(visit)
    visitor.page.goto(f"{elsewhere}/?kind=frame&target={site.address}/dashboard")
    frame = visitor.page.frames[1]

    assert frame.get_by_role("heading").count() == 0
    assert any("frame-ancestors" in trouble for trouble in visitor.troubles)
    visitor.troubles.clear()
