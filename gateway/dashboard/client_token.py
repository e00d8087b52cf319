"""Take a token of a client's rate for what its members do on the pages: they share it with the client's keys."""

from starlette.requests import Request

from gateway.errors import RateLimitExceeded
from gateway.limiter import Decision
from gateway.models import Client
from gateway.services import services_of

SECONDS_PER_MINUTE = 60


async def take_client_token(request: Request, client: Client) -> None:
    """Take one token of the client's. Raises RateLimitExceeded, StorageUnavailable."""
    services = services_of(request)
    decision = await services.limiter.take_of_client(client.id, await services.store.api_keys.limit_of(client))
    if not decision.allowed:
        raise RateLimitExceeded(decision.refusal, retry_after=decision.retry_after)


def require_allowed(decision: Decision, what: str) -> None:
    """Raise RateLimitExceeded, which says of what there were too many in an hour, unless it is allowed."""
    if not decision.allowed:
        minutes = -(-decision.retry_after // SECONDS_PER_MINUTE)
        raise RateLimitExceeded(
            f"Too many {what} in an hour: come back in {minutes} minute{'' if minutes == 1 else 's'}",
            retry_after=decision.retry_after,
        )
