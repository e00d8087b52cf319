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
        has_body = False
        for name, value in scope["headers"]:
            if name == b"content-length":
                self._check_length(value)
                has_body = True
            elif name == b"transfer-encoding":
                has_body = True
        # Without either field nothing follows the head (RFC 9112 §6.3), and there is nothing to count.
        await self._app(scope, self._limited(receive) if has_body else receive, send)

    def _check_length(self, value: bytes) -> None:
        if not value.isdigit():
            raise BadRequest(NO_LENGTH)
        if len(value) > LONGEST_LENGTH or int(value) > self._max_body_bytes:
            raise ContentTooLarge

    def _limited(self, receive: Receive) -> Receive:
        received = 0

        async def receive_with_limit() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_body_bytes:
                raise ContentTooLarge
            return message

        return receive_with_limit
