"""Lets each request begin when its class and group are next; answers what its socket connection could not shed."""

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.web.admission import Gate


class AdmissionMiddleware:
    """Outermost. Decides nothing: whether a request is shed was decided when its head came in."""

    def __init__(self, app: ASGIApp, *, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            gate = self._gate
            if gate.is_shed(scope):
                await gate.early_responses.shed_answer(gate.form_of(scope))(scope, receive, send)
                return
            waiter = gate.join(scope)
            if waiter is not None:
                await waiter
            await self._app(scope, receive, send)
            gate.note_answered(scope)
            return
        await self._app(scope, receive, send)
