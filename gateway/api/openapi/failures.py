"""The failures of each call in the words of `errors`, and what the caller can do about them."""

from collections.abc import Mapping

from gateway import errors
from gateway.api.connections import SCHEDULE
from gateway.api.job_query import (
    CONNECTION,
    FAILURE,
    NO_INCLUDE,
    NO_TIME,
    WRONG_LIMIT,
    WRONG_STATUS,
    WRONG_TIME,
    WRONG_TYPE,
)
from gateway.api.query import given_twice, wrong_include
from gateway.api.request_content import NO_BODY, NO_JSON
from gateway.limiter import client_refusal, key_refusal
from gateway.models import RatePolicy
from gateway.syncs.connections import UNMAPPED
from gateway.syncs.cursor import INVALID_CURSOR
from gateway.web.middleware.body_limit import NO_LENGTH
from gateway.web.middleware.errors import STOPPING

EXAMPLE_KEYS = 20
"""How many keys' rates the example of a client's rate is."""

# Names of failures that calls have in common.
GENERAL = ("Unauthorized", "RequestTimeout", "ContentTooLarge", "UriTooLong", "HeadersTooLarge")
READS = (*GENERAL, "BadRequest", "RateLimitExceeded", "InternalError", "Unavailable")
CONNECTION_READS = tuple("BadConnectionQuery" if name == "BadRequest" else name for name in READS)
REVOCATIONS = (*GENERAL, "BadRevocation", "InternalError", "Unavailable")
ANY_RELAYS = (*GENERAL, "RateLimitExceeded", "InternalError", "UpstreamFailed", "UpstreamBusy")
UPSTREAM_FAILURES = ("UpstreamFailed", "UpstreamBusy", "UpstreamTimeout")
RELAYS = (*ANY_RELAYS, "ConnectionNotFound")
JOB_RELAYS = (*ANY_RELAYS, "JobNotFound")

Failures = Mapping[str, tuple[str, list[errors.ApiError]]]
"""Name → what the caller can do, and the errors of one status that the name stands for."""


def build_failures(rate: RatePolicy) -> Failures:
    """Return every failure that the document names, for keys with the limit `rate`."""
    return {**_bad_requests(), **_request_failures(rate), **_service_failures()}


def _bad_requests() -> Failures:
    bad = errors.BadRequest
    length = bad(NO_LENGTH)
    no_body = [bad(NO_BODY), bad(NO_JSON)]
    include = bad(given_twice("include"))
    unmapped = bad(UNMAPPED)
    inactive = errors.ConnectionNotActive("inactive")
    choice = [bad(WRONG_LIMIT), bad(WRONG_STATUS), bad(WRONG_TYPE), bad(INVALID_CURSOR), bad(given_twice("limit"))]
    operator = "Your operator maps connections and enables them in Airbyte."
    told = "The message says what is wrong."
    return {
        "BadRequest": (told, [length]),
        "BadConnectionQuery": (told, [bad(wrong_include(SCHEDULE)), include, length]),
        "BadRevocation": ("Send no body.", [*no_body, length]),
        "BadTrigger": (operator, [unmapped, inactive, *no_body, length]),
        "BadJob": (operator, [unmapped, bad(NO_INCLUDE), length]),
        "BadCancel": (operator, [unmapped, *no_body, length]),
        "BadJobQuery": (operator, [unmapped, *choice, bad(wrong_include(FAILURE)), bad(NO_TIME), length]),
        "BadAllJobsQuery": (
            "The message says what is right.",
            [*choice, bad(WRONG_TIME), bad(wrong_include(CONNECTION)), length],
        ),
    }


def _request_failures(rate: RatePolicy) -> Failures:
    total = RatePolicy(rate.requests * EXAMPLE_KEYS, rate.per_seconds)
    exceeded: list[errors.ApiError] = [
        errors.RateLimitExceeded(key_refusal(rate)),
        errors.RateLimitExceeded(client_refusal(total)),
    ]
    return {
        "Unauthorized": ("Check the key; if it expired, get a new one.", [errors.Unauthorized(credentials_sent=True)]),
        "ReadOnlyKey": ("Use a key that may start syncs.", [errors.ReadOnlyKey()]),
        "ConnectionNotFound": ("Take the id from the list of connections.", [errors.ConnectionNotFound()]),
        "PageNotFound": ("Begin at the first page.", [errors.PageNotFound()]),
        "ConnectionPageNotFound": (
            "Take the id from the list of connections; begin at the first page.",
            [errors.ConnectionNotFound(), errors.PageNotFound()],
        ),
        "JobNotFound": (
            "Take the ids from the lists of connections and of their jobs.",
            [errors.ConnectionNotFound(), errors.JobNotFound()],
        ),
        "OtherJobRunning": ("Cancel the job that is running, or wait for its end.", [errors.OtherJobRunning()]),
        "RequestTimeout": ("Send the request again.", [errors.RequestTimeout()]),
        "ContentTooLarge": ("Send no body: no call needs one.", [errors.ContentTooLarge()]),
        "UriTooLong": ("Shorten the query.", [errors.UriTooLong()]),
        "RateLimitExceeded": ("Wait the seconds of Retry-After, then go on.", exceeded),
        "HeadersTooLarge": ("Send fewer or shorter headers.", [errors.HeadersTooLarge()]),
    }


def _service_failures() -> Failures:
    own: list[errors.ApiError] = [errors.Overloaded(), errors.Overloaded(STOPPING), errors.StorageUnavailable()]
    timeout = errors.UpstreamTimeout()
    later = "Try again after the seconds of Retry-After."
    problem = "Airbyte has a problem: try again in a minute."
    unknown = "If the outcome is unknown, a sync may have started: list the jobs first."
    return {
        "InternalError": ("Tell your operator the X-Request-Id.", [errors.InternalError()]),
        "UpstreamFailed": (problem, [errors.UpstreamUnreachable(), errors.UpstreamInvalid()]),
        "Unavailable": (later, own),
        "UpstreamBusy": (later, [*own, errors.UpstreamBusy()]),
        "CancelBusy": (
            "Try again after the seconds of Retry-After. Each job that ends makes room for another cancel.",
            [*own, errors.UpstreamBusy(), errors.TooManyCancels()],
        ),
        "UpstreamTimeout": (problem, [timeout]),
        "CancelTimeout": (
            "A pending cancel is sent once the job runs, without another call. Look at the job.",
            [errors.CancelPending(), timeout],
        ),
        "TriggerTimeout": (unknown, [timeout, errors.OutcomeUnknown()]),
    }
