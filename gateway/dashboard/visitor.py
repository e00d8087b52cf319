"""The visitor of a page, found by the session's cookie."""

from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.auth.accounts import Accounts
from gateway.auth.guess_throttle import block_of
from gateway.auth.sessions import Browser
from gateway.dashboard.paging import with_query
from gateway.dashboard.session_cookie import SessionCookie, SessionCookies
from gateway.errors import NotFound
from gateway.models import Actor, Client, User, Visitor
from gateway.store.read_slots import reading_for
from gateway.web.caller import client_address, user_agent
from gateway.web.request_context import SCOPE_KEY, RequestContext

SIGN_IN = "dashboard/sign-in"
SECOND_FACTOR = "dashboard/settings/account/second-factor"
VISITOR_KEY = "gateway.visitor"
ACCOUNTS_KEY = "gateway.accounts"
RENDER_WAIT_KEY = "gateway.render_wait"
COOKIES_KEY = "gateway.session_cookies"
PENDING_COOKIES_KEY = "gateway.pending_cookies"
LONGEST_NEXT = 500

Handler = Callable[[Request], Awaitable[ASGIApp]]
RenderWait = Callable[[str], Awaitable[None]]
"""Waits until a page of the user with this id may be rendered."""


class SignInNeeded(Exception):
    """The visitor must sign in first, or set up a second factor, at `path`, relative to the root."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class VisitorMiddleware:
    """Finds the visitor by the cookie and puts him, `accounts`, cookies and what pages wait for into the scope."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        accounts: Accounts,
        cookies: SessionCookies,
        pending_cookies: SessionCookies,
        wait_to_render: RenderWait,
    ) -> None:
        self._app = app
        self._accounts = accounts
        self._cookies = cookies
        self._pending_cookies = pending_cookies
        self._wait_to_render = wait_to_render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Reset in the end: the next request of the socket connection may be another person's.
        token = reading_for.set(block_of(client_address(scope)))
        try:
            await self._find_visitor(scope)
            await self._app(scope, receive, send)
        finally:
            reading_for.reset(token)

    async def _find_visitor(self, scope: Scope) -> None:
        secret = await self._cookies.secret_in(HTTPConnection(scope))
        scope[ACCOUNTS_KEY] = self._accounts
        scope[RENDER_WAIT_KEY] = self._wait_to_render
        scope[COOKIES_KEY] = self._cookies
        scope[PENDING_COOKIES_KEY] = self._pending_cookies
        visitor = scope[VISITOR_KEY] = await self._accounts.sessions.visitor(secret) if secret else None
        if visitor is not None:
            reading_for.set(visitor.client.id if visitor.client else visitor.user.id)


def accounts_of(request: Request) -> Accounts:
    """Return what people do about signing in, as the middleware put it into the scope."""
    accounts: Accounts = request.scope[ACCOUNTS_KEY]
    return accounts


async def wait_to_render(scope: Scope, user: User) -> None:
    """Wait until a page of the user may be rendered."""
    wait: RenderWait = scope[RENDER_WAIT_KEY]
    await wait(user.id)


async def session_cookie_of(request: Request) -> SessionCookie:
    """Return the cookie that a sign-in by this request sets. Raises StorageUnavailable."""
    cookies: SessionCookies = request.scope[COOKIES_KEY]
    return await cookies.cookie_for(request)


def pending_cookies_of(request: Request) -> SessionCookies:
    """Return the cookies of sign-ins that wait for a code."""
    cookies: SessionCookies = request.scope[PENDING_COOKIES_KEY]
    return cookies


def visitor_or_none(request: Request) -> Visitor | None:
    """Return who is signed in; None for nobody, on pages that are for everybody."""
    visitor: Visitor | None = request.scope.get(VISITOR_KEY)
    return visitor


def visitor_setting_up(request: Request) -> Visitor:
    """Return who is signed in, also if he must set up a second factor first. Raises SignInNeeded."""
    visitor = visitor_or_none(request)
    if visitor is None:
        raise SignInNeeded(_sign_in_path(request))
    return visitor


def visitor_of(request: Request) -> Visitor:
    """Return who is signed in. Raises SignInNeeded; who must set up a second factor is led there."""
    visitor = visitor_setting_up(request)
    if visitor.lacks_second_factor:
        raise SignInNeeded(SECOND_FACTOR)
    return visitor


def client_of(request: Request) -> Client:
    """Return the member's client. Raises SignInNeeded; NotFound for an admin."""
    client = visitor_of(request).client
    if client is None:
        raise NotFound
    return client


def actor_of(request: Request) -> Actor:
    """Return the visitor as the activity log names him. Raises SignInNeeded."""
    return browser_of(request).actor(visitor_of(request).user)


def browser_of(request: Request) -> Browser:
    """Return where the request comes from."""
    context: RequestContext = request.scope[SCOPE_KEY]
    return Browser(client_address(request.scope), user_agent(request.scope) or "", context.request_id)


def for_admins(handler: Handler) -> Handler:
    """Let admins in. The handler raises NotFound for members, who must not learn of the page."""

    async def show(request: Request) -> ASGIApp:
        if not visitor_of(request).user.is_admin:
            raise NotFound
        return await handler(request)

    return show


def for_admins_at_home(handler: Handler) -> Handler:
    """Let admins in. Members are redirected to their own pages, as `for_members` does the other way."""

    async def show(request: Request) -> ASGIApp:
        if visitor_of(request).client is not None:
            return redirect(request, "dashboard")
        return await handler(request)

    return show


def for_users(handler: Handler) -> Handler:
    """Let everybody in who is signed in. Others are redirected to the sign-in."""

    async def show(request: Request) -> ASGIApp:
        visitor_of(request)
        return await handler(request)

    return show


def for_users_setting_up(handler: Handler) -> Handler:
    """Let everybody in who is signed in, also those who must set up a second factor first."""

    async def show(request: Request) -> ASGIApp:
        visitor_setting_up(request)
        return await handler(request)

    return show


def root_of(request: Request) -> str:
    """Return the relative path from the page to the gateway's root, right also behind a proxy's path prefix."""
    return "../" * (request.scope["path"].count("/") - 1) or "./"


def redirect(request: Request, path: str) -> RedirectResponse:
    """Redirect to one of our pages, `path` from the root, to be read with GET."""
    return RedirectResponse(root_of(request) + path, status_code=303, headers={"Cache-Control": "no-store"})


def _sign_in_path(request: Request) -> str:
    """Return the sign-in's address, with the page that was asked for, and what of it."""
    here = with_query(request, request.scope["path"].lstrip("/"))
    if request.method != "GET" or here == "dashboard" or len(here) > LONGEST_NEXT:
        return SIGN_IN
    return f"{SIGN_IN}?{urlencode({'next': here})}"
