"""Take a token of a client's rate for what its members do on the pages: they share it with the client's keys."""

from starlette.requests import Request

from gateway.errors import RateLimitExceeded
from gateway.models import Client
from gateway.services import services_of


async def take_client_token(request: Request, client: Client) -> None:
    """Take one token of the client's. Raises RateLimitExceeded, StorageUnavailable."""
    services = services_of(request)
    decision = await services.limiter.take_of_client(client.id, await services.store.api_keys.limit_of(client))
    if not decision.allowed:
        raise RateLimitExceeded(decision.refusal, retry_after=decision.retry_after)
