"""POST /api/v1/keys/revoke: revoke the key that the call is made with, whoever has it."""

from starlette.requests import Request

from gateway.api.principal import principal_of
from gateway.api.request_content import require_no_content
from gateway.errors import Unauthorized, UnknownRecord
from gateway.models import Actor
from gateway.services import services_of
from gateway.web.caller import client_address
from gateway.web.request_context import SCOPE_KEY, RequestContext
from gateway.web.responses import JSONAnswer

ITSELF = "the key itself"
"""The actor in the activity log: nothing else is known of who held the key."""


async def revoke_key(request: Request) -> JSONAnswer:
    """Revoke the key of the call. The answer names neither the key nor its client. Raises BadRequest, Unauthorized."""
    await require_no_content(request)
    principal = principal_of(request)
    context: RequestContext = request.scope[SCOPE_KEY]
    by = Actor(ITSELF, client_address(request.scope) or None, context.request_id)
    try:
        key = await services_of(request).keys.revoke(principal.key_id, client_id=principal.client.id, by=by)
    except UnknownRecord:
        # The key was removed with its client after it was authenticated.
        raise Unauthorized(credentials_sent=True) from None
    return JSONAnswer({"key": {"id": key.id, "revoked_at": key.revoked_at}})
