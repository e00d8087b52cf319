"""Find the compatible API's routes, of which a path may have several.

Airbyte takes one slash off the end of a path, and some programs write one. Nothing is redirected.
"""

from collections.abc import Sequence

from starlette.requests import Request

from gateway.errors import CallNotServed
from gateway.web.compatible_paths import PUBLIC_API, is_compatible
from gateway.web.responses import JSONAnswer
from gateway.web.router import ApiRoute


async def refuse_call(_request: Request) -> JSONAnswer:
    """Refuse what is not served, to whoever has a key. Raises CallNotServed."""
    raise CallNotServed


class CompatibleRoutes:
    """Routes by path and method."""

    def __init__(self, routes: Sequence[ApiRoute]) -> None:
        self.routes = routes
        self._plain: dict[str, list[ApiRoute]] = {}
        self._with_parameters: dict[str, list[ApiRoute]] = {}
        for route in routes:
            table = self._with_parameters if "{" in route.template else self._plain
            table.setdefault(route.template, []).append(route)
        for same_path in (*self._plain.values(), *self._with_parameters.values()):
            allowed = frozenset[str]().union(*(route.methods for route in same_path))
            for route in same_path:
                route.allowed, route.notes_program = allowed, True

    def covers(self, path: str) -> bool:
        """Return whether paths like this are answered, by whatever method."""
        return is_compatible("POST", path)

    def find(self, method: str, path: str) -> tuple[ApiRoute | None, dict[str, str]]:
        """Return the route of a request and its parameters; None if it is not for this API.

        If none has the method it is another one of the path, and if none has the path one that refuses.
        """
        if not is_compatible(method, path):
            return None, {}
        same_path, parameters = self._with_path(path.removesuffix("/"))
        by_method = (route for route in same_path if method in route.methods)
        return next(by_method, same_path[0] if same_path else _not_served(method, path)), parameters

    def _with_path(self, path: str) -> tuple[Sequence[ApiRoute], dict[str, str]]:
        if path in self._plain:
            return self._plain[path], {}
        for same_path in self._with_parameters.values():
            parameters = same_path[0].parameters(path)
            if parameters is not None and not any("/" in value for value in parameters.values()):
                return same_path, parameters
        return (), {}


def _not_served(method: str, path: str) -> ApiRoute:
    """Return a route for whatever is not served; log and metrics call all of them the same."""
    name = f"{PUBLIC_API}/*" if path.startswith(PUBLIC_API) else "/api/v1/*"
    route = ApiRoute(name, refuse_call, method=method)
    route.notes_program = True
    return route
