"""Who is calling, as authentication found out."""

from starlette.requests import Request

from gateway.models import Principal
from gateway.web.middleware.authentication import PRINCIPAL_KEY


def principal_of(request: Request) -> Principal:
    principal: Principal = request.scope[PRINCIPAL_KEY]
    return principal
