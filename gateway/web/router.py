"""The API's routes: a table that says whose a path is, and the router that asks it.

Paths are compared as text. Starlette's router, with its regular expressions for mount and route, costs more than the
answer to `/status` itself, and stops at a line feed, so that a malformed id with one in it would not look like any
unknown id.
"""

import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import MethodNotAllowed, NotFound
from gateway.web.request_context import SCOPE_KEY, RequestContext

Handler = Callable[[Request], Awaitable[ASGIApp]]
PARAMETER = re.compile(r"\{(\w+)\}")
ROUTE_KEY = "gateway.route"
"""The route of a request; None when the API has none of that path."""


class ApiRoute:
    """A path template, whose `{names}` stand for any text, and who answers it. GET includes HEAD (RFC 9110 §9.3.2)."""

    def __init__(
        self,
        template: str,
        handler: Handler,
        *,
        method: str = "GET",
        is_patient: bool = False,
        takes_token: bool = True,
    ) -> None:
        """`takes_token`: whether a call counts towards the rate limit."""
        self.template = template
        self.handler = handler
        self.methods = frozenset({"GET", "HEAD"} if method == "GET" else {method})
        self.is_patient = is_patient
        """Whether a call would rather wait its turn for longer than be refused, as one that starts something."""
        self.takes_token = takes_token
        self._before, *between_and_names = PARAMETER.split(template)
        self._names = between_and_names[::2]
        *self._between, self._after = between_and_names[1::2] or [""]

    def parameters(self, path: str) -> dict[str, str] | None:
        """Return what stands in place of each name, however odd; None when the path is another one."""
        if not (path.startswith(self._before) and path.endswith(self._after)):
            return None
        end = len(path) - len(self._after)
        if end < len(self._before):
            return None
        rest = path[len(self._before) : end]
        values = []
        for text in self._between:
            value, found, rest = rest.partition(text)
            if not found:
                return None
            values.append(value)
        return dict(zip(self._names, [*values, rest], strict=True))


class ApiRoutes:
    """All routes below a prefix. Of those with parameters the first that fits answers."""

    def __init__(self, prefix: str, routes: Sequence[ApiRoute]) -> None:
        self.prefix = prefix
        self._start = f"{prefix}/"
        self._plain = {prefix + route.template: route for route in routes if "{" not in route.template}
        self._with_parameters = [route for route in routes if "{" in route.template]
        self._free = {path: route for path, route in self._plain.items() if not route.takes_token}

    def covers(self, path: str) -> bool:
        """Return whether a path is the API's, be there a route for it or not."""
        return path.startswith(self._start)

    def is_free(self, scope: MutableMapping[str, Any]) -> bool:
        """Return whether a request counts towards no rate limit."""
        route = self._free.get(scope["path"])
        return route is not None and scope["method"] in route.methods

    def find(self, path: str) -> tuple[ApiRoute | None, dict[str, str]]:
        """Return the route of a path that is covered, and what stands in place of its names."""
        route = self._plain.get(path)
        if route is not None:
            return route, {}
        below = path[len(self.prefix) :]
        for route in self._with_parameters:
            parameters = route.parameters(below)
            if parameters is not None:
                return route, parameters
        return None, {}


class ApiMount:
    """Pure ASGI middleware, innermost: hands the API's paths to the API, and the rest on to the pages.

    The route is found here, before anything may refuse the request, so that log and metrics name it in any case.
    """

    def __init__(self, app: ASGIApp, *, routes: ApiRoutes, api: ASGIApp) -> None:
        self._app = app
        self._routes = routes
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._routes.covers(scope["path"]):
            route, parameters = self._routes.find(scope["path"])
            if route is not None:
                context: RequestContext = scope[SCOPE_KEY]
                context.route = self._routes.prefix + route.template
            scope[ROUTE_KEY] = route
            scope["path_params"] = parameters
            await self._api(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class ApiRouter:
    """Calls the handler of the route that `ApiMount` found. Raises NotFound, MethodNotAllowed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route: ApiRoute | None = scope[ROUTE_KEY]
        if route is None:
            raise NotFound
        if scope["method"] not in route.methods:
            raise MethodNotAllowed(route.methods)
        answer = await route.handler(Request(scope, receive))
        await answer(scope, receive, send)
