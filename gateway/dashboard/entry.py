"""Let a browser in or out: what every way of signing in ends with."""

import re

from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard.visitor import accounts_of, redirect, session_cookie_of, visitor_or_none

HOME = "dashboard"
OWN_PATH = re.compile(r"dashboard(?:/[A-Za-z0-9_-]+)*(?:\?[A-Za-z0-9_.~%&=+-]+)?")
"""A page, and a query as `urlencode` writes it."""


async def let_in(request: Request, session: str, following: str = HOME) -> Response:
    """Give the browser the secret of its new session and lead it to the page that was asked for."""
    await end_present_session(request)
    answer = redirect(request, own_path(following))
    (await session_cookie_of(request)).keep(answer, session)
    return answer


async def end_present_session(request: Request) -> None:
    """End the session that the browser has already, if any."""
    visitor = visitor_or_none(request)
    if visitor is not None:
        await accounts_of(request).sessions.end(visitor.user, visitor.session.id)


def own_path(following: str) -> str:
    """Return `following` if it is a page of the dashboard, else the dashboard: nobody is led to another site."""
    return following if OWN_PATH.fullmatch(following) else HOME
