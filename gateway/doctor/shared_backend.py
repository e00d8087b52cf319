"""Check the server that counts calls for several gateways."""

from collections.abc import AsyncGenerator

import msgspec

from gateway.airbyte.no_answer import NoAnswer
from gateway.cluster.scripts import BackendReadOnly, BackendUnavailable
from gateway.doctor.finding import Finding, failure, passed, warning
from gateway.doctor.probe import get
from gateway.doctor.serving import local_url
from gateway.doctor.timings import DoctorTimings
from gateway.services import Services

CHECK_NAME = "rate limit"
FORGETS_NOTHING = "noeviction"
REPLICA_ADVICE = (
    "Let rate_limit.backend name the primary, by a name that follows it when another server takes over. "
    "Until then each gateway allows its share of every limit."
)


class Readiness(msgspec.Struct):
    """What /readyz tells of the count: `shared` or `local`."""

    rate_limit: str = ""


async def check_shared_limit(timings: DoctorTimings, services: Services) -> AsyncGenerator[Finding, None]:
    """Check the shared server by the script a gateway probes it with, then how the gateway that runs here counts.

    Find nothing where a gateway counts in its own memory.
    """
    rate_limit = services.settings.rate_limit
    if not rate_limit.is_shared:
        return
    try:
        facts = await services.cluster.ask_server()
    except BackendReadOnly:
        yield failure(CHECK_NAME, f"{rate_limit.backend} is a replica and takes no writes", REPLICA_ADVICE)
        return
    except BackendUnavailable as reason:
        yield failure(
            CHECK_NAME,
            f"{rate_limit.backend} is unavailable: {reason}",
            "Until it is back each gateway allows its share of every limit. Start it, or correct rate_limit.backend.",
        )
        return
    if facts.is_replica:
        yield failure(CHECK_NAME, f"{rate_limit.backend} is a replica: what is counted there is lost", REPLICA_ADVICE)
        return
    local = local_url(services.settings.server)
    if await _counts_alone(local, seconds=timings.local_probe):
        yield warning(
            CHECK_NAME,
            f"{rate_limit.backend} takes writes, but the gateway at {local} counts its share by itself",
            "It asks again at least every 5 seconds. If this stays: shared_backend_unavailable in its log says why.",
        )
        return
    if facts.limit_bytes and facts.eviction != FORGETS_NOTHING:
        yield warning(
            CHECK_NAME,
            f"{rate_limit.backend} may forget what was counted: its maxmemory-policy is {facts.eviction}",
            f"Set maxmemory-policy {FORGETS_NOTHING}: a key whose calls are forgotten has its whole limit again.",
        )
        return
    yield passed(CHECK_NAME, f"counted together at {rate_limit.backend}; {facts.name}")


async def _counts_alone(local: str, *, seconds: float) -> bool:
    """Return whether a gateway runs there that says so."""
    try:
        reply = await get(f"{local}/readyz", seconds=seconds)
        return msgspec.json.decode(reply.body, type=Readiness).rate_limit == "local"
    except (NoAnswer, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
