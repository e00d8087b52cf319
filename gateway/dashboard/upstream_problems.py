"""Say on a page why Airbyte did not do, or was not asked to do, what the visitor wants."""

from gateway.errors import (
    ApiError,
    RateLimitExceeded,
    UpstreamBusy,
    UpstreamError,
    UpstreamInvalid,
    UpstreamTimeout,
    UpstreamUnreachable,
)

WORDS: dict[type[UpstreamError], str] = {
    UpstreamUnreachable: "Airbyte cannot be reached",
    UpstreamInvalid: "Airbyte gave an answer that cannot be used",
    UpstreamBusy: "Airbyte is busy",
    UpstreamTimeout: "Airbyte did not answer in time",
}
TIMED_OUT = WORDS[UpstreamTimeout]
VANISHED = "Airbyte no longer has this connection"


def words_of(error: ApiError) -> str:
    """Return the reason without a full stop; `not found` means that Airbyte deleted the connection."""
    if isinstance(error, RateLimitExceeded):
        return f"{error.message}: try again in {error.retry_after} s"
    return next((text for kind, text in WORDS.items() if isinstance(error, kind)), VANISHED)
