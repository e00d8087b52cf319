"""The body of a request: no call of this API takes one."""

import msgspec
from starlette.requests import Request

from gateway.errors import BadRequest

NO_BODY = "This call takes no request body"
NO_JSON = "The request body is not valid JSON; this call takes none"


async def require_no_content(request: Request) -> None:
    """Read the body, which must be empty; some HTTP libraries send an empty object for nothing. Raises BadRequest."""
    body = await request.body()
    if not body:
        return
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequest(NO_JSON) from None
    if content not in ({}, None):
        raise BadRequest(NO_BODY)
