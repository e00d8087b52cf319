"""Refuses request bodies over a limit, whether announced or not, before anyone reads them."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import BadRequest, ContentTooLarge

LONGEST_LENGTH = 18
"""Digits. Python refuses to read numbers of thousands of them."""
NO_LENGTH = "Content-Length is not a number"


class BodyLimitMiddleware:
    """Raises ContentTooLarge: at once for an announced length, on the first byte too many for a stream."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        for name, value in scope["headers"]:
            if name == b"content-length":
                if not value.isdigit():
                    raise BadRequest(NO_LENGTH)
                if len(value) > LONGEST_LENGTH or int(value) > self._max_body_bytes:
                    raise ContentTooLarge
        received = 0

        async def receive_with_limit() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_body_bytes:
                raise ContentTooLarge
            return message

        await self._app(scope, receive_with_limit, send)
