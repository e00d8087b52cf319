"""Lead from addresses that have no page of their own to the page that was meant."""

import re
from collections.abc import Collection

from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard.account import ACCOUNT
from gateway.dashboard.key_owner import KEYS
from gateway.dashboard.paging import with_query
from gateway.dashboard.visitor import Handler, redirect, visitor_of
from gateway.dashboard.webhooks import WEBHOOKS
from gateway.errors import NotFound

PAGE_PATH = re.compile(r"(dashboard|docs)(/[A-Za-z0-9_-]+)*")

TYPED = {"/dashboard/account": ACCOUNT, "/dashboard/api-keys": KEYS, "/dashboard/webhooks": WEBHOOKS}
"""Addresses as people type them, and the pages that are meant."""


async def lead_to_settings(request: Request) -> Response:
    """Redirect to the first of the visitor's settings: admins have only their account. Raises SignInNeeded."""
    return redirect(request, KEYS if visitor_of(request).client else ACCOUNT)


def lead_to(page: str) -> Handler:
    """Return what redirects to a page, `page` from the root."""

    async def redirect_to(request: Request) -> Response:
        return redirect(request, page)

    return redirect_to


def lead_up(path: str, pages: Collection[str]) -> Handler:
    """Return what redirects from `path`, which takes only forms, to the nearest of `pages` above it.

    The answer to a refused form shows that page: what is searched or turned there is asked of this address.
    """
    steps = 1
    while path.rsplit("/", steps)[0] not in pages:
        steps += 1

    async def redirect_up(request: Request) -> Response:
        return redirect(request, with_query(request, request.scope["path"].lstrip("/").rsplit("/", steps)[0]))

    return redirect_up


async def without_slashes(request: Request) -> Response:
    """Redirect to the same address without slashes at its end. Raises NotFound where that can be no page."""
    path = request.scope["path"].strip("/")
    if not PAGE_PATH.fullmatch(path):
        raise NotFound
    return redirect(request, with_query(request, path))
