"""POST …/applications/token: a key's id and the key are changed for a token, which is the key.

So there is no second kind of secret to keep, and a key that is revoked ends what was got for it on the next request.
"""

from datetime import datetime, timedelta
from urllib.parse import parse_qs

import msgspec
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.api.principal import principal_of
from gateway.errors import BadRequest
from gateway.services import services_of
from gateway.web.compatible_paths import PUBLIC_API
from gateway.web.credentials import claim, present, presented_key
from gateway.web.responses import JSONAnswer

TOKEN_PATHS = tuple(f"{base}/applications/token" for base in (PUBLIC_API, "/api/v1", "/v1", ""))
"""Where programs look for it: below their address of the API, or where its default leads."""
LONGEST_LIFE = timedelta(hours=1)
"""After it clients ask again. The key itself goes on."""
FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 20
NO_CREDENTIALS = "The body must have client_id and client_secret, as JSON or as a form"


class Credentials(msgspec.Struct, frozen=True):
    """What a client of Airbyte's sends; the grant, in its various spellings, says nothing."""

    client_id: str = ""
    client_secret: str = ""

    def __repr__(self) -> str:
        """Leave out the secret."""
        return f"Credentials({self.client_id!r})"


class CredentialsReader:
    """Pure ASGI middleware: has a request for a token carry what its body says. Raises BadRequest.

    Then it is authenticated, throttled, limited and counted as any other.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if request.method == "POST":
            credentials = _read(request.headers.get("content-type", ""), await request.body())
            if credentials.client_secret:
                present(scope, credentials.client_id, credentials.client_secret.strip())
            else:
                claim(scope, credentials.client_id)
        await self._app(scope, receive, send)


async def give_token(request: Request) -> JSONAnswer:
    """Answer with the key as a token, and for how long a client should use it."""
    expires_at = principal_of(request).expires_at
    life = _life(expires_at, services_of(request).clock.now())
    return JSONAnswer({"access_token": presented_key(request.scope), "token_type": "Bearer", "expires_in": life})


def _read(content_type: str, body: bytes) -> Credentials:
    try:
        if content_type.partition(";")[0].strip().lower() == FORM:
            fields = parse_qs(body.decode(), max_num_fields=MOST_FIELDS)
            return Credentials(*(fields.get(name, [""])[0] for name in Credentials.__struct_fields__))
        return msgspec.json.decode(body or b"{}", type=Credentials)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise BadRequest(NO_CREDENTIALS) from None


def _life(expires_at: datetime | None, now: datetime) -> int:
    """Return the seconds for which the token is good, at most an hour."""
    life = LONGEST_LIFE if expires_at is None else min(LONGEST_LIFE, expires_at - now)
    return int(life.total_seconds())
