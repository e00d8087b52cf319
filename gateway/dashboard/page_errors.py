"""Turn failures into pages for clients that accept HTML; all others get the gateway's JSON."""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.dashboard.templating import page
from gateway.dashboard.visitor import SignInNeeded, redirect
from gateway.errors import ApiError, BadRequest, InternalError, NotFound, OperatorError, UnknownRecord
from gateway.resources import is_installed
from gateway.web.middleware.errors import api_error
from gateway.web.request_context import SCOPE_KEY, RequestContext

TITLES = {
    400: "That did not work",
    403: "Refused",
    404: "Not found",
    500: "Something went wrong",
    503: "Not available now",
}
MESSAGES = {
    NotFound.message: "There is no page at this address.",
    InternalError.message: "This is our fault. Try again. If it happens again, give the request's id to your operator.",
}
"""Words for people, in place of the API's messages."""


class PageErrorMiddleware:
    """Answers failures of the pages. It is the outermost layer of their application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context: RequestContext = scope[SCOPE_KEY]
        try:
            await self._run_app(scope, receive, send)
        except ClientDisconnect:
            raise
        except SignInNeeded as error:
            await redirect(Request(scope), error.path)(scope, receive, send)
        except Exception as error:
            # Without the program's files no page may be left to show.
            if context.status or not _wants_page(scope) or not is_installed():
                raise
            await _error_page(scope, api_error(error))(scope, receive, send)

    async def _run_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application. Mistakes of the visitor, which have no status, become NotFound and BadRequest."""
        try:
            await self._app(scope, receive, send)
        except UnknownRecord as error:
            raise NotFound(str(error)) from None
        except OperatorError as error:
            raise BadRequest(str(error)) from None


def _wants_page(scope: Scope) -> bool:
    return "text/html" in Headers(scope=scope).get("accept", "")


def _error_page(scope: Scope, failure: ApiError) -> ASGIApp:
    context: RequestContext = scope[SCOPE_KEY]
    return page(
        Request(scope),
        "error.html",
        status=failure.status,
        headers=failure.headers,
        code=failure.status,
        title=TITLES.get(failure.status) or HTTPStatus(failure.status).phrase,
        message=MESSAGES.get(failure.message, failure.message),
        request_id=context.request_id,
    )
