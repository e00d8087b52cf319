"""Finds the handler of an API path by comparing text.

Starlette's router, with its regular expressions for mount and route, costs more than the answer to `/status` itself,
and stops at a line feed, so that a malformed id with one in it would not look like any unknown id.
"""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import MethodNotAllowed, NotFound
from gateway.web.request_context import SCOPE_KEY, RequestContext

Handler = Callable[[Request], Awaitable[ASGIApp]]
ID = "{id}"


class ApiMount:
    """Pure ASGI middleware, innermost: hands everything below a prefix to the API, and the rest on to the pages."""

    def __init__(self, app: ASGIApp, *, prefix: str, api: ASGIApp) -> None:
        self._app = app
        self._start = f"{prefix}/"
        self._api = api

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http" and scope["path"].startswith(self._start):
            return self._api(scope, receive, send)
        return self._app(scope, receive, send)


class ApiRoute:
    """A path template, with at most one `{id}`, and who answers it. GET includes HEAD (RFC 9110 §9.3.2)."""

    def __init__(self, template: str, handler: Handler, *, method: str = "GET") -> None:
        self.template = template
        self.handler = handler
        self.methods = frozenset({"GET", "HEAD"} if method == "GET" else {method})
        self._before, _, self._after = template.partition(ID)

    def identifier(self, path: str) -> str | None:
        """What stands in place of `{id}`, however odd; None when the path is another one."""
        if not (path.startswith(self._before) and path.endswith(self._after)):
            return None
        end = len(path) - len(self._after)
        return path[len(self._before) : end] if end >= len(self._before) else None


class ApiRouter:
    """The routes below a prefix. Raises NotFound, MethodNotAllowed."""

    def __init__(self, prefix: str, routes: list[ApiRoute]) -> None:
        self._prefix = prefix
        self._plain = {prefix + route.template: route for route in routes if ID not in route.template}
        self._with_id = [route for route in routes if ID in route.template]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._plain.get(scope["path"]) or self._find(scope)
        record: RequestContext = scope[SCOPE_KEY]
        record.route = self._prefix + route.template
        if scope["method"] not in route.methods:
            raise MethodNotAllowed(route.methods)
        answer = await route.handler(Request(scope, receive))
        await answer(scope, receive, send)

    def _find(self, scope: Scope) -> ApiRoute:
        path = scope["path"][len(self._prefix) :]
        for route in self._with_id:
            identifier = route.identifier(path)
            if identifier is not None:
                scope["path_params"] = {"id": identifier}
                return route
        raise NotFound
