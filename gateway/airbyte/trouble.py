"""Say why Airbyte gave no good answer, from how a call to it failed, in the words of `gateway doctor`. Pure."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from gateway.airbyte.no_answer import no_answer
from gateway.airbyte.route import Route
from gateway.errors import UpstreamBusy, UpstreamError, UpstreamRefused, UpstreamTimeout, UpstreamUnreachable
from gateway.models import SocketAddress, Trouble

PORTS = {"http": 80, "https": 443}
UNAUTHORIZED = 401
NOT_ITS_OWN = {
    429: "too many calls, for Airbyte or for a proxy in front of it",
    500: "Airbyte or a proxy in front of it fails",
    **dict.fromkeys((502, 503, 504), "a proxy in front of Airbyte does not reach it"),
}
"""What these statuses tell. None of them says that the address is wrong."""


class TroubleLog:
    """Remembers why the last call to Airbyte failed, until one is answered."""

    def __init__(self, base_url: str, route: Route) -> None:
        self._base_url = base_url
        self._route = route
        self._last: Trouble | None = None

    def note(self, error: UpstreamError, cause: BaseException | None = None) -> None:
        """Remember why a call failed: by `error`, and by `cause`, if another failure led to it."""
        self._last = trouble_of(error, cause, base_url=self._base_url, route=self._route)

    def clear(self) -> None:
        """Note that Airbyte gave a good answer."""
        self._last = None

    @property
    def is_any(self) -> bool:
        """Whether the last call failed, and none has been answered since."""
        return self._last is not None

    def explain(self, error: UpstreamError) -> Trouble:
        """Return what is behind a failure; behind a call that was not made, why the last one failed."""
        if isinstance(error, UpstreamBusy) and self._last is not None:
            return self._last
        return trouble_of(error, error.__cause__, base_url=self._base_url, route=self._route)


def trouble_of(error: UpstreamError, cause: BaseException | None, *, base_url: str, route: Route) -> Trouble:
    """Return what is behind a call to Airbyte at `base_url` that failed with `error`, to which `cause` led."""
    asked, host = _asked(base_url, route)
    for each in (error, *_chain(cause)):
        if isinstance(each, OSError):
            nobody = no_answer(each, asked=asked, host=host, seconds=0)
            return Trouble(nobody.kind, str(nobody))
        if isinstance(each, UpstreamTimeout):
            return Trouble("timeout", f"{asked} does not answer in time")
        status = each.upstream_status if isinstance(each, UpstreamError) else 0
        # A 500 for a token says that the credential may be wrong, at some builds of Airbyte.
        if status in NOT_ITS_OWN and (each is error or status != 500):  # noqa: PLR2004 - HTTP's own number
            return Trouble("failing", f"{base_url.rstrip('/')} answers {status}: {NOT_ITS_OWN[status]}")
    return Trouble("credential" if _is_refusal(error, cause) else "other", error.sentence)


def _is_refusal(error: UpstreamError, cause: BaseException | None) -> bool:
    """Return whether Airbyte refuses our credential, or gives no token for it."""
    return isinstance(error, UpstreamUnreachable) and (
        error.upstream_status == UNAUTHORIZED or isinstance(cause, UpstreamRefused)
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _asked(base_url: str, route: Route) -> tuple[str, str]:
    """Return the address that is asked first on the way to Airbyte, and Airbyte's host."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    is_tls = parts.scheme == "https"
    address = SocketAddress(host, parts.port or PORTS[parts.scheme])
    return str(address if is_tls or not route.proxy else route.proxy), host
