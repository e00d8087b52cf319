"""Say on a page why Airbyte did not do, or was not asked to do, what the visitor wants."""

from starlette.requests import Request

from gateway.dashboard.outage import cause_for
from gateway.dashboard.visitor import visitor_of
from gateway.errors import (
    ApiError,
    RateLimitExceeded,
    UpstreamBusy,
    UpstreamError,
    UpstreamInvalid,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.services import services_of

CANNOT_REACH = "Airbyte cannot be reached"
WORDS: dict[type[UpstreamError], str] = {
    UpstreamUnreachable: CANNOT_REACH,
    UpstreamInvalid: "Airbyte gave an answer that cannot be used",
    UpstreamBusy: "Airbyte is busy",
    UpstreamTimeout: "Airbyte did not answer in time",
}
TIMED_OUT = WORDS[UpstreamTimeout]
VANISHED = "Airbyte no longer has this connection"


def words_of(error: ApiError, request: Request) -> str:
    """Return the reason without a full stop; `not found` means that Airbyte deleted the connection.

    A call that was not made, because others failed before it, is told by what those met.
    """
    if isinstance(error, RateLimitExceeded):
        return f"{error.message}: try again in {error.retry_after} s"
    if not isinstance(error, UpstreamError):
        return VANISHED
    troubles = services_of(request).airbyte.troubles
    trouble = troubles.explain(error)
    words = next((text for kind, text in WORDS.items() if isinstance(error, kind)), VANISHED)
    if isinstance(error, UpstreamBusy):
        if not troubles.is_any:
            return words
        words = CANNOT_REACH
    return words if trouble.kind == "other" else f"{words}: {cause_for(trouble, visitor_of(request))}"
