"""The API's routes: a table that says whose a path is, and the router that asks it.

Paths are compared as text. Starlette's router, with its regular expressions for mount and route, costs more than the
answer to `/status` itself, and stops at a line feed, so that a malformed id with one in it would not look like any
unknown id.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, Literal, Protocol

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import MethodNotAllowed, NotFound
from gateway.web.caller import user_agent
from gateway.web.program import program_name
from gateway.web.request_context import SCOPE_KEY, RequestContext

Entrance = Literal["key", "credentials", "open"]
"""`credentials`: a key and its id are in the body; `open`: nobody needs a key."""
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
        entrance: Entrance = "key",
    ) -> None:
        """`takes_token`: whether a call counts towards the rate limit; `entrance`: how its caller says who he is."""
        self.template = template
        self.handler = handler
        self.methods = frozenset({"GET", "HEAD"} if method == "GET" else {method})
        self.allowed = self.methods
        """The methods that the path has an answer for, by this route or another."""
        self.name = template
        """What log and metrics call it."""
        self.is_patient = is_patient
        """Whether a call would rather wait its turn for longer than be refused, as one that starts something."""
        self.takes_token = takes_token
        self.entrance = entrance
        self.notes_program = False
        """Whether the log tells the caller's program."""
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


class RouteFinder(Protocol):
    """Finds routes of another API, which has paths below the same prefix and elsewhere."""

    def covers(self, path: str) -> bool: ...

    def find(self, method: str, path: str) -> tuple[ApiRoute | None, dict[str, str]]: ...


class ApiRoutes:
    """All routes below a prefix. Of those with parameters the first that fits answers."""

    def __init__(self, prefix: str, routes: Sequence[ApiRoute], *, beside: RouteFinder | None = None) -> None:
        """Look for what is none of `routes` in the API `beside`."""
        self.prefix = prefix
        self._start = f"{prefix}/"
        self._plain = {prefix + route.template: route for route in routes if "{" not in route.template}
        self._with_parameters = [route for route in routes if "{" in route.template]
        self._free = {path: route for path, route in self._plain.items() if not route.takes_token}
        self._beside = beside
        for route in routes:
            route.name = prefix + route.template

    def covers(self, path: str) -> bool:
        """Return whether a path is an API's, be there a route for it or not."""
        return path.startswith(self._start) or (self._beside is not None and self._beside.covers(path))

    def is_free(self, scope: MutableMapping[str, Any]) -> bool:
        """Return whether a request counts towards no rate limit."""
        route = self._free.get(scope["path"])
        return route is not None and scope["method"] in route.methods

    def find(self, method: str, path: str) -> tuple[ApiRoute | None, dict[str, str]]:
        """Return the route of a path that is covered, and what stands in place of its names."""
        route = self._plain.get(path)
        if route is not None:
            return route, {}
        below = path[len(self.prefix) :]
        for route in self._with_parameters:
            parameters = route.parameters(below)
            if parameters is not None:
                return route, parameters
        return (None, {}) if self._beside is None else self._beside.find(method, path)


def takes_no_token(scope: MutableMapping[str, Any]) -> bool:
    """Return whether a request, whose route is found, counts towards no rate limit."""
    route: ApiRoute | None = scope[ROUTE_KEY]
    return route is not None and not route.takes_token and scope["method"] in route.methods


class ApiMount:
    """Pure ASGI middleware, innermost: hands the API's paths to the API, and the rest on to the pages.

    The route is found here, before anything may refuse the request, so that log and metrics name it in any case.
    """

    def __init__(self, app: ASGIApp, *, routes: ApiRoutes, api: ASGIApp, others: Mapping[Entrance, ASGIApp]) -> None:
        """Hand calls with a key to `api`, and those that come in otherwise to `others`."""
        self._app = app
        self._routes = routes
        self._api = api
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._routes.covers(scope["path"]):
            route, parameters = self._routes.find(scope["method"], scope["path"])
            scope[ROUTE_KEY] = route
            scope["path_params"] = parameters
            api = self._api
            if route is not None:
                context: RequestContext = scope[SCOPE_KEY]
                context.route = route.name
                if route.notes_program:
                    context.program = program_name(user_agent(scope) or "")
                if route.entrance != "key":
                    api = self._others[route.entrance]
            await api(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class ApiRouter:
    """Calls the handler of the route that `ApiMount` found. Raises NotFound, MethodNotAllowed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route: ApiRoute | None = scope[ROUTE_KEY]
        if route is None:
            raise NotFound
        if scope["method"] not in route.methods:
            raise MethodNotAllowed(route.allowed)
        answer = await route.handler(Request(scope, receive))
        await answer(scope, receive, send)
