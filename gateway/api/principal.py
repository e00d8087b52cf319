"""The principal of a request: the key and the client that authentication found."""

from starlette.requests import Request

from gateway.models import Principal
from gateway.web.key_check import PRINCIPAL_KEY


def principal_of(request: Request) -> Principal:
    """Return the key and the client of an authenticated request."""
    principal: Principal = request.scope[PRINCIPAL_KEY]
    return principal
