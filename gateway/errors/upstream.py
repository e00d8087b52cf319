"""Failures of Airbyte, in our own words."""

from typing import ClassVar

from gateway.errors.api import ApiError, RetryableError


class UpstreamError(ApiError):
    """Airbyte failed us. The texts are a closed list: nothing of Airbyte's body, host or ids.

    `reached` is False only when it is certain that Airbyte did no work for the request. `upstream_status` is that of
    its answer, 0 where there was none or it does not matter.
    """

    outcome: ClassVar[str]
    reached: bool = True
    upstream_status: int = 0


class UpstreamUnreachable(UpstreamError):
    """Airbyte could not be reached, or did not accept our credential."""

    status = 502
    message = "Upstream service unreachable"
    outcome = "unreachable"


class UpstreamForbidden(UpstreamUnreachable):
    """Airbyte does not tell the gateway's credential of a connection, of whatever it tells otherwise."""


class UpstreamInvalid(UpstreamError):
    """Airbyte's answer is none that its API describes, or is about something else."""

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
    """Airbyte did not answer in time."""

    status = 504
    message = "Upstream service timed out"
    outcome = "timeout"


class OutcomeUnknown(UpstreamError):
    """A trigger may or may not have started a job, and looking did not tell."""

    status = 504
    message = "Outcome unknown: check the job list before retrying"
    outcome = "unknown"
