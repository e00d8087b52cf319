"""Checks of what several gateways share: the server that counts for all of them."""

from collections.abc import AsyncGenerator

from gateway.cluster.scripts import BackendUnavailable
from gateway.doctor.finding import Finding, failure, passed, warning
from gateway.services import Services

CHECK = "rate limit"
KEEPS_ALL = "noeviction"


async def check_shared_limit(services: Services) -> AsyncGenerator[Finding, None]:
    """Nothing to say of a gateway that counts in its own memory."""
    rate_limit = services.settings.rate_limit
    if not rate_limit.is_shared:
        return
    try:
        facts = await services.cluster.ask_server()
    except BackendUnavailable as reason:
        yield failure(
            CHECK,
            f"{rate_limit.backend} is away: {reason}",
            "Until it is back each gateway allows its share of every limit. See that it runs, and rate_limit.backend.",
        )
        return
    if facts.limit_bytes and facts.eviction != KEEPS_ALL:
        yield warning(
            CHECK,
            f"{rate_limit.backend} may forget what was counted: its maxmemory-policy is {facts.eviction}",
            f"Set maxmemory-policy {KEEPS_ALL}: what is forgotten is a limit begun anew.",
        )
        return
    yield passed(CHECK, f"counted together at {rate_limit.backend}; {facts.name}")
