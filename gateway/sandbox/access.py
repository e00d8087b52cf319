"""Authenticate callers: the token routes, and the middleware that asks for a token."""

import hmac
from urllib.parse import parse_qsl

import orjson
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.sandbox.faults import Answer, Faults
from gateway.sandbox.refusals import Hal, Opaque
from gateway.sandbox.tokens import Tokens
from gateway.sandbox.wire import json_answer, without_nulls

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


class Applications:
    """The token routes, for the one application there is. The grant is optional and ignored."""

    def __init__(self, *, tokens: Tokens, faults: Faults, client_id: str, client_secret: str) -> None:
        self.tokens = tokens
        self.faults = faults
        self.client_id = client_id
        self.client_secret = client_secret

    async def public_token(self, request: Request) -> Response:
        """Answer the public API's token route, which takes JSON and forms."""
        if self.faults.token_endpoint_down:
            return Answer.html(502).response()
        access_token = self._issue(await _read_fields(request, (JSON, FORM)))
        body = {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": int(self.faults.token_lifetime_seconds),
        }
        return json_answer(without_nulls({**body, **self.faults.token_overrides}))

    async def internal_token(self, request: Request) -> Response:
        """Answer the internal API's token route, which takes JSON only and answers the token only."""
        if self.faults.token_endpoint_down:
            return Answer.html(502).response()
        return json_answer({"access_token": self._issue(await _read_fields(request, (JSON,)))})

    def _issue(self, fields: dict[str, str]) -> str:
        good_id = hmac.compare_digest(fields.get("client_id", "").encode(), self.client_id.encode())
        good_secret = hmac.compare_digest(fields.get("client_secret", "").encode(), self.client_secret.encode())
        if not (good_id and good_secret):
            if self.faults.wrong_credentials == 400:  # noqa: PLR2004 - Community's status
                raise Hal(400, "Invalid client id or token")
            raise Opaque(self.faults.wrong_credentials)
        return self.tokens.issue(self.faults.token_lifetime_seconds)


class AuthenticationMiddleware:
    """Lets a request pass that bears a good token."""

    def __init__(self, app: ASGIApp, *, tokens: Tokens, faults: Faults) -> None:
        self.app = app
        self.tokens = tokens
        self.faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        is_known = scheme.lower() == "bearer" and self.tokens.accepts(token.strip())
        if not is_known or self.faults.take_unauthorized():
            raise Hal(401)
        await self.app(scope, receive, send)


async def _read_fields(request: Request, accepted: tuple[str, ...]) -> dict[str, str]:
    """Return the fields of a JSON object or a form. A content type without a route is 401, as any unknown route."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type not in accepted:
        raise Hal(401)
    body = await request.body()
    if content_type == FORM:
        return dict(parse_qsl(body.decode("utf-8", "replace")))
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Opaque(422) from error
    if not isinstance(content, dict):
        raise Opaque(422)
    return {str(name): str(value) for name, value in content.items()}
