"""Every failure the gateway names, with its HTTP status and the words a caller may read.

GatewayError
├── ApiError                      answered as {"error": message}
│   ├── BadRequest           400
│   ├── Unauthorized         401
│   ├── CrossOrigin          403
│   ├── ReadOnlyKey          403
│   ├── NotFound             404
│   │   └── ConnectionNotFound
│   ├── MethodNotAllowed     405
│   ├── RequestTimeout       408
│   ├── ContentTooLarge      413
│   ├── CallerLeft           499
│   ├── UriTooLong           414
│   ├── HeadersTooLarge      431
│   ├── RetryableError            says when to come back
│   │   ├── RateLimitExceeded    429
│   │   ├── Overloaded           503
│   │   └── StorageUnavailable   503
│   ├── InternalError        500
│   ├── MethodNotImplemented 501
│   └── UpstreamError
│       ├── UpstreamUnreachable  502
│       ├── UpstreamInvalid      502
│       │   └── UpstreamRefused     Airbyte's own status and title, for the rules in `syncs`
│       ├── UpstreamBusy         503   also RetryableError
│       ├── UpstreamTimeout      504
│       └── OutcomeUnknown       504
└── OperatorError                 one line on the command line, exit status 1; one line on a page
    ├── SettingsError
    ├── DatabaseRefused
    ├── Duplicate
    ├── UnknownRecord             no such client, connection, key or user
    ├── InvalidInput
    ├── LinkEnded
    └── SignInRefused

Not in the tree, because each is caught and handled before anybody outside the gateway learns of it:

Fault                 airbyte     a call to Airbyte failed, and whether another try may succeed
BackendUnavailable    cluster     Valkey does not answer: decide without it
OddAnswer             cluster     Valkey answered what no script of ours returns
NoAnswer              doctor      an address that is examined does not answer
SignInNeeded          dashboard   lead the visitor to the sign-in
ConstraintViolated    store       a statement met what a constraint forbids
TriggerUnderWay       store       another gateway is triggering the same connection
"""

from collections.abc import Mapping
from typing import ClassVar


class GatewayError(Exception):
    """Anything that went wrong and has a sentence for the person concerned."""

    @property
    def sentence(self) -> str:
        """For the operator, on the command line and in the log."""
        return str(self)


class ApiError(GatewayError):
    """A failure with an HTTP status. `message` is public; `detail` is for the log only."""

    status: ClassVar[int]
    message: str

    def __init__(self, message: str | None = None, *, detail: str = "") -> None:
        if message is not None:
            self.message = message
        super().__init__(self.message)
        self.detail = detail

    @property
    def sentence(self) -> str:
        return ": ".join(filter(None, (self.message, self.detail)))

    @property
    def headers(self) -> Mapping[str, str]:
        return {}


class BadRequest(ApiError):
    status = 400
    message = "Bad request"


class Unauthorized(ApiError):
    """The key is absent, malformed, unknown, revoked or expired: one text for all (RFC 6750 §3)."""

    status = 401
    message = "Unauthorized — invalid or missing API key"

    def __init__(self, *, credentials_sent: bool) -> None:
        super().__init__()
        self.credentials_sent = credentials_sent

    @property
    def headers(self) -> Mapping[str, str]:
        # RFC 6750 §3.1: no error code when the request carried no authentication at all.
        suffix = ', error="invalid_token"' if self.credentials_sent else ""
        return {"WWW-Authenticate": f'Bearer realm="gateway"{suffix}'}


class CrossOrigin(ApiError):
    """A page of another site tried to change something in a visitor's name."""

    status = 403
    message = "This form was not sent from the gateway's own pages"


class ReadOnlyKey(ApiError):
    status = 403
    message = "This API key is read-only"


class NotFound(ApiError):
    status = 404
    message = "Not found"


class ConnectionNotFound(NotFound):
    message = "Connection not found"


class MethodNotAllowed(ApiError):
    status = 405
    message = "Method not allowed"

    def __init__(self, allowed: frozenset[str]) -> None:
        super().__init__()
        self.allowed = allowed

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Allow": ", ".join(sorted(self.allowed))}


class RequestTimeout(ApiError):
    status = 408
    message = "Request was not received in time"


class ContentTooLarge(ApiError):
    status = 413
    message = "Request body is too large"


class CallerLeft(ApiError):
    """The caller closed its socket connection before its answer: nobody reads this, only the log and the metrics."""

    status = 499
    message = "Caller has left"


class UriTooLong(ApiError):
    status = 414
    message = "Request URL is too long"


class HeadersTooLarge(ApiError):
    status = 431
    message = "Request headers are too large"


class RetryableError(ApiError):
    """A failure that says when to come back: `retry_after` in whole seconds, at least 1 (RFC 9110 §10.2.3)."""

    def __init__(self, message: str | None = None, *, retry_after: int = 1, detail: str = "") -> None:
        super().__init__(message, detail=detail)
        self.retry_after = max(1, retry_after)

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Retry-After": str(self.retry_after)}


class RateLimitExceeded(RetryableError):
    status = 429
    message = "Rate limit exceeded"


class InternalError(ApiError):
    status = 500
    message = "Internal server error"


class MethodNotImplemented(ApiError):
    """No path has the method: it is not HTTP's, or is written in small letters (RFC 9110 §9.1)."""

    status = 501
    message = "Method not implemented"


class Overloaded(RetryableError):
    status = 503
    message = "Service is busy"


class StorageUnavailable(RetryableError):
    status = 503
    message = "Storage is unavailable"
    reason: str = "unavailable"
    """One word for the figures."""


class UpstreamError(ApiError):
    """Airbyte failed us. The texts are a closed list: nothing of Airbyte's body, host or ids.

    `reached` is False only when it is certain that Airbyte did no work for the request.
    """

    outcome: ClassVar[str]
    reached: bool = True


class UpstreamUnreachable(UpstreamError):
    status = 502
    message = "Upstream service unreachable"
    outcome = "unreachable"


class UpstreamInvalid(UpstreamError):
    status = 502
    message = "Upstream service returned an invalid response"
    outcome = "invalid"


class UpstreamRefused(UpstreamInvalid):
    """A well-formed 4xx of Airbyte's. `title` is its problem title, or empty."""

    outcome = "refused"

    def __init__(self, upstream_status: int, title: str = "", *, detail: str = "") -> None:
        super().__init__(detail=detail)
        self.upstream_status = upstream_status
        self.title = title


class UpstreamBusy(UpstreamError, RetryableError):
    """No permit, a pause or a 429: Airbyte did no work for this request."""

    status = 503
    message = "Upstream service is busy"
    outcome = "busy"
    reached = False


class UpstreamTimeout(UpstreamError):
    status = 504
    message = "Upstream service timed out"
    outcome = "timeout"


class OutcomeUnknown(UpstreamError):
    """A trigger may or may not have started a job, and looking did not tell."""

    status = 504
    message = "Outcome unknown: check the job list before retrying"
    outcome = "unknown"


class OperatorError(GatewayError):
    """A failure that an operator reads as one line, on the command line or on a page."""


class SettingsError(OperatorError):
    """A setting is unknown, of the wrong type or out of range; the text names file and key."""


class DatabaseRefused(OperatorError):
    """The database file is missing, foreign, damaged, newer, or in use by another gateway."""


class Duplicate(OperatorError):
    """The slug or the Airbyte connection is taken."""


class UnknownRecord(OperatorError):
    """There is no such client, connection, key or user."""


class InvalidInput(OperatorError):
    """A value given on the command line or in a form cannot be used."""


class LinkEnded(OperatorError):
    """A link from an invitation is unknown, used or expired: one text for all."""

    def __init__(self) -> None:
        super().__init__("This link has been used or has expired. Ask for a new one.")


class SignInRefused(OperatorError):
    """Whether the address or the password was wrong stays open."""

    def __init__(self, message: str = "The e-mail address or the password is wrong") -> None:
        super().__init__(message)
