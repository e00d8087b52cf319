"""Render templates as pages: escaped, under a policy that forbids content of other sites.

Templates are read when this module is imported, so that no request waits for a disk.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from gateway import __version__
from gateway.dashboard import humanize
from gateway.dashboard.browser_name import browser_name
from gateway.dashboard.idempotent_forms import TOKEN_FIELD, new_token
from gateway.dashboard.outage import cause_for, current_outage
from gateway.dashboard.visitor import root_of, visitor_or_none, wait_to_render
from gateway.models import User, Visitor
from gateway.services import services_of
from gateway.settings.brand import Brand
from gateway.web.program import program_name

TEMPLATES = Path(__file__).parent / "templates"
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "strict-origin",
    "X-Content-Type-Options": "nosniff",
}
PAGE_HEADERS = {"Cache-Control": "no-store", **SECURITY_HEADERS}

CODE_SPAN = re.compile("`([^`]+)`")

_SOURCES = {
    path.relative_to(TEMPLATES).as_posix(): path.read_text(encoding="utf-8") for path in TEMPLATES.rglob("*.html")
}
_SCRIPTS = {path.name: path.read_text(encoding="utf-8") for path in (TEMPLATES / "docs/scripts").iterdir()}
"""Shown as they are, but for the gateway's address."""


def _environment() -> Environment:
    environment = Environment(
        loader=DictLoader(_SOURCES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals |= {
        "version": __version__,
        "new_token": new_token,
        "outage": None,
        "token_field": TOKEN_FIELD,
        "scripts": _SCRIPTS,
    }
    environment.filters |= {
        "ago": humanize.ago,
        "browser": browser_name,
        "program": program_name,
        "bytes": humanize.size,
        "cause": cause_for,
        "code_spans": code_spans,
        "count": humanize.count,
        "day": humanize.day,
        "duration": humanize.duration,
        "interval": humanize.interval,
        "moment": humanize.moment,
        "month": humanize.month,
    }
    return environment


def code_spans(text: str) -> Markup:
    """Return the text escaped, with what stands between backticks as code."""
    return Markup(CODE_SPAN.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped just before


_ENVIRONMENT = _environment()


def page(
    request: Request, template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **content: object
) -> Response:
    """Return the template as an answer. Every template knows `now`, a datetime, and what `render` is given.

    For a visitor who is signed in it is rendered when it is sent, and that waits until it may be.
    """
    services, visitor = services_of(request), visitor_or_none(request)
    rendered = partial(
        render,
        template,
        root=root_of(request),
        here=request.scope["path"].lstrip("/"),
        visitor=visitor,
        brand=services.brand.current,
        now=services.clock.now(),
        **content,
    )
    all_headers = {**PAGE_HEADERS, **(headers or {})}
    if visitor is None:
        return HTMLResponse(rendered(), status_code=status, headers=all_headers)
    return WaitingPage(rendered, visitor.user, status=status, headers=all_headers)


class WaitingPage(HTMLResponse):
    """A page of one who is signed in. Many reads end in one round of the event loop; one page is rendered in it."""

    def __init__(self, rendered: Callable[..., str], user: User, *, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(status_code=status, headers=headers)
        self._rendered = rendered
        self._user = user

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        outage = await current_outage(services_of(Request(scope)))
        await wait_to_render(scope, self._user)
        self.body = self.render(self._rendered(outage=outage))
        self.headers["Content-Length"] = str(len(self.body))
        await super().__call__(scope, receive, send)


def render(template: str, *, root: str, here: str, visitor: Visitor | None, brand: Brand, **content: object) -> str:
    """Return the template as HTML.

    `root` is the way from the page to the gateway's own root; `here` the page's path from there; `visitor` is None when
    nobody is signed in; `brand` how the gateway shows itself.
    """
    return _ENVIRONMENT.get_template(template).render(root=root, here=here, visitor=visitor, brand=brand, **content)
