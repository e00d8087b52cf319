"""Lets each API request begin when its turn in the queue has come; answers what its socket connection shed."""

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.web.admission import Gate, is_shed
from gateway.web.router import ApiRoutes


class AdmissionMiddleware:
    """Outermost. Decides nothing: whether a request is shed was decided when its head came in."""

    def __init__(self, app: ASGIApp, *, gate: Gate, routes: ApiRoutes) -> None:
        self._app = app
        self._gate = gate
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._routes.covers(scope["path"]):
            await self._app(scope, receive, send)
            return
        if is_shed(scope):
            await self._gate.early_responses.shed_answer()(scope, receive, send)
            return
        await self._gate.queue.wait()
        await self._app(scope, receive, send)
