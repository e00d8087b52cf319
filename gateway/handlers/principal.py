"""Who is calling, as authentication found out."""

from starlette.requests import Request

from gateway.middleware.authentication import PRINCIPAL_KEY
from gateway.models import Principal


def principal_of(request: Request) -> Principal:
    principal: Principal = request.scope[PRINCIPAL_KEY]
    return principal
