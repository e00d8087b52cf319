"""Render templates as pages: escaped, under a policy that forbids content of other sites.

Templates are read when this module is imported, so that no request waits for a disk.
"""

from collections.abc import Mapping
from pathlib import Path

from jinja2 import DictLoader, Environment, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from gateway import __version__
from gateway.dashboard import humanize
from gateway.dashboard.browser_name import browser_name
from gateway.dashboard.idempotent_forms import TOKEN_FIELD, new_token
from gateway.dashboard.visitor import root_of, visitor_or_none
from gateway.models import Visitor
from gateway.services import services_of
from gateway.validation import RATE

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

_SOURCES = {
    path.relative_to(TEMPLATES).as_posix(): path.read_text(encoding="utf-8") for path in TEMPLATES.rglob("*.html")
}


def _environment() -> Environment:
    environment = Environment(
        loader=DictLoader(_SOURCES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals |= {
        "version": __version__,
        "new_token": new_token,
        "token_field": TOKEN_FIELD,
        "rate_pattern": RATE.pattern,
    }
    environment.filters |= {
        "ago": humanize.ago,
        "browser": browser_name,
        "bytes": humanize.size,
        "count": humanize.count,
        "duration": humanize.duration,
        "moment": humanize.moment,
    }
    return environment


_ENVIRONMENT = _environment()


def page(
    request: Request, template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **content: object
) -> HTMLResponse:
    """Render the template for the visitor. Every template knows `now`, a datetime, and what `render` is given."""
    text = render(
        template,
        root=root_of(request),
        here=request.scope["path"].lstrip("/"),
        visitor=visitor_or_none(request),
        now=services_of(request).clock.now(),
        **content,
    )
    return HTMLResponse(text, status_code=status, headers={**PAGE_HEADERS, **(headers or {})})


def render(template: str, *, root: str, here: str, visitor: Visitor | None, **content: object) -> str:
    """Return the template as HTML.

    `root` is the way from the page to the gateway's own root; `here` the page's path from there; `visitor` is None when
    nobody is signed in.
    """
    return _ENVIRONMENT.get_template(template).render(root=root, here=here, visitor=visitor, **content)
