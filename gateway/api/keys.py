"""POST /api/v1/keys/revoke: a key ends itself, in whoever's hands it is."""

from starlette.requests import Request

from gateway.api.principal import principal_of
from gateway.api.request_content import require_no_content
from gateway.errors import Unauthorized, Unknown
from gateway.models import Actor
from gateway.services import services_of
from gateway.web.middleware.authentication import client_address
from gateway.web.request_context import SCOPE_KEY, RequestContext
from gateway.web.responses import JSONAnswer

ITSELF = "the key itself"
"""Who the activity log says it was: whoever held the key, of whom nothing else is known."""


async def revoke_key(request: Request) -> JSONAnswer:
    """Whoever found the key learns no name, neither of it nor of its client."""
    await require_no_content(request)
    principal = principal_of(request)
    record: RequestContext = request.scope[SCOPE_KEY]
    by = Actor(ITSELF, client_address(request.scope) or None, record.request_id)
    try:
        key = await services_of(request).provisioning.revoke_key(principal.key_id, client_id=principal.client.id, by=by)
    except Unknown:
        # It was removed with its client after it was let in.
        raise Unauthorized(credentials_sent=True) from None
    return JSONAnswer({"key": {"id": key.id, "revoked_at": key.revoked_at}})
