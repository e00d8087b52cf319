"""Check the server that counts calls for several gateways."""

from collections.abc import AsyncGenerator

from gateway.cluster.scripts import BackendUnavailable
from gateway.doctor.finding import Finding, failure, passed, warning
from gateway.services import Services

CHECK = "rate limit"
FORGETS_NOTHING = "noeviction"


async def check_shared_limit(services: Services) -> AsyncGenerator[Finding, None]:
    """Check that the server answers and forgets nothing. Find nothing where a gateway counts in its own memory."""
    rate_limit = services.settings.rate_limit
    if not rate_limit.is_shared:
        return
    try:
        facts = await services.cluster.ask_server()
    except BackendUnavailable as reason:
        yield failure(
            CHECK,
            f"{rate_limit.backend} is unavailable: {reason}",
            "Until it is back each gateway allows its share of every limit. Start it, or correct rate_limit.backend.",
        )
        return
    if facts.limit_bytes and facts.eviction != FORGETS_NOTHING:
        yield warning(
            CHECK,
            f"{rate_limit.backend} may forget what was counted: its maxmemory-policy is {facts.eviction}",
            f"Set maxmemory-policy {FORGETS_NOTHING}: a key whose calls are forgotten has its whole limit again.",
        )
        return
    yield passed(CHECK, f"counted together at {rate_limit.backend}; {facts.name}")
