"""Failures with an HTTP status, whoever produces them; and what every failure of ours is."""

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
        """The message and the detail."""
        return ": ".join(filter(None, (self.message, self.detail)))

    @property
    def headers(self) -> Mapping[str, str]:
        """Fields that the answer has besides."""
        return {}


class BadRequest(ApiError):
    """The request has a query, a body or a header that is wrong. `message` says what."""

    status = 400
    message = "Bad request"


class ConnectionNotActive(BadRequest):
    """Airbyte does not sync the connection now; its status there says why."""

    def __init__(self, connection_status: str) -> None:
        super().__init__(f"Connection is not active in Airbyte (status: {connection_status})")
        self.connection_status = connection_status


class Unauthorized(ApiError):
    """The key is absent, malformed, unknown, revoked or expired: one text for all (RFC 6750 §3)."""

    status = 401
    message = "Unauthorized — invalid or missing API key"

    def __init__(self, *, credentials_sent: bool) -> None:
        super().__init__()
        self.credentials_sent = credentials_sent

    @property
    def headers(self) -> Mapping[str, str]:
        """How to authenticate (RFC 6750 §3)."""
        # RFC 6750 §3.1: no error code when the request carried no authentication at all.
        suffix = ', error="invalid_token"' if self.credentials_sent else ""
        return {"WWW-Authenticate": f'Bearer realm="gateway"{suffix}'}


class CrossOrigin(ApiError):
    """A page of another site tried to change something in a visitor's name."""

    status = 403
    message = "This form was not sent from the gateway's own pages"


class ReadOnlyKey(ApiError):
    """The key's scope is `read`, and the call would change something."""

    status = 403
    message = "This API key is read-only"


class CallNotServed(ApiError):
    """A call of Airbyte's API that is none of a client's business, or that no client of Airbyte's needs."""

    status = 403
    message = "The gateway does not serve this call of Airbyte's API"


class NotFound(ApiError):
    """There is nothing at this path, or for this client."""

    status = 404
    message = "Not found"


class ConnectionNotFound(NotFound):
    """The client has no such connection. Another client's is told in the same words."""

    message = "Connection not found"


class PageNotFound(NotFound):
    """A cursor has the right form, and leads to no page: the same request with another query was given it."""

    message = "No such page: pass the cursor from the Link header unchanged"


class JobNotFound(NotFound):
    """The connection has no such job, or none that the client may see."""

    message = "Job not found"


class OtherJobRunning(ApiError):
    """The job is not what its connection is doing, and Airbyte would cancel what it is doing."""

    status = 409
    message = "Another job is running"


class CancelPending(ApiError):
    """The job was not running yet: it is cancelled as soon as it runs, whether or not somebody waits."""

    status = 504
    message = "Cancel is pending"


class TriggerPending(ApiError):
    """The job of a trigger is not known yet, and its caller waits no longer: the trigger goes on."""

    status = 504
    message = "Sync is being started: repeat the call to get its job"


class WorkspaceNotFound(NotFound):
    """The client sees no such workspace."""

    message = "Workspace not found"


class SourceNotFound(NotFound):
    """The client sees no such source."""

    message = "Source not found"


class DestinationNotFound(NotFound):
    """The client sees no such destination."""

    message = "Destination not found"


class MethodNotAllowed(ApiError):
    """There is something at this path, for other methods."""

    status = 405
    message = "Method not allowed"

    def __init__(self, allowed: frozenset[str]) -> None:
        super().__init__()
        self.allowed = allowed

    @property
    def headers(self) -> Mapping[str, str]:
        """Which methods it takes (RFC 9110 §15.5.6)."""
        return {"Allow": ", ".join(sorted(self.allowed))}


class RequestTimeout(ApiError):
    """The request did not arrive in time."""

    status = 408
    message = "Request was not received in time"


class ContentTooLarge(ApiError):
    """The body is longer than any that makes sense here."""

    status = 413
    message = "Request body is too large"


class CallerLeft(ApiError):
    """The caller closed its socket connection before its answer: nobody reads this, only the log and the metrics."""

    status = 499
    message = "Caller has left"


class UriTooLong(ApiError):
    """The request's target is longer than any that makes sense here."""

    status = 414
    message = "Request URL is too long"


class HeadersTooLarge(ApiError):
    """The fields of the request are more, or longer, than any that make sense here."""

    status = 431
    message = "Request headers are too large"


class RetryableError(ApiError):
    """A failure that says when to come back: `retry_after` in whole seconds, at least 1 (RFC 9110 §10.2.3)."""

    def __init__(self, message: str | None = None, *, retry_after: int = 1, detail: str = "") -> None:
        super().__init__(message, detail=detail)
        self.retry_after = max(1, retry_after)

    @property
    def headers(self) -> Mapping[str, str]:
        """In how many seconds to come back (RFC 9110 §10.2.3)."""
        return {"Retry-After": str(self.retry_after)}


class RateLimitExceeded(RetryableError):
    """The key, or all keys of its client, have used up their calls."""

    status = 429
    message = "Rate limit exceeded"


class InternalError(ApiError):
    """A bug of ours. What it is stands in the log alone."""

    status = 500
    message = "Internal server error"


class MethodNotImplemented(ApiError):
    """No path has the method: it is not HTTP's, or is written in small letters (RFC 9110 §9.1)."""

    status = 501
    message = "Method not implemented"


class Overloaded(RetryableError):
    """More is asked of the gateway than it can answer in time."""

    status = 503
    message = "Service is busy"


class TooManyCancels(Overloaded):
    """The client has as many cancels pending as it may have: there is room again as their jobs run or end."""

    message = "Too many cancels are pending"


class StorageUnavailable(RetryableError):
    """The database is locked, full, broken or gone."""

    status = 503
    message = "Storage is unavailable"
    reason: str = "unavailable"
    """One word for the figures."""
