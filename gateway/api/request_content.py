"""What stands in a request beside its URL: for every call of this API, nothing."""

import msgspec
from starlette.requests import Request

from gateway.errors import BadRequest


async def require_no_content(request: Request) -> None:
    """Raises BadRequest. An empty object is what some HTTP libraries send for nothing."""
    body = await request.body()
    if not body:
        return
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise BadRequest("The request body is not valid JSON; this call takes none") from None
    if content not in ({}, None):
        raise BadRequest("This call takes no request body")
