"""Calls to Airbyte as plain data: what is asked, what is answered, what the answer means. No network."""

from http import HTTPStatus
from typing import Generic, Literal, Protocol, TypeVar

import msgspec

from gateway.airbyte.bulkhead import Caller, Kind
from gateway.airbyte.schema import Problem
from gateway.airbyte.timings import PauseTimings
from gateway.errors import UpstreamError, UpstreamInvalid, UpstreamRefused

MAX_PAGE_BYTES = 4 * 1024 * 1024
MAX_OBJECT_BYTES = 256 * 1024

Method = Literal[b"GET", b"POST", b"DELETE"]
Value = TypeVar("Value")
Decoded_co = TypeVar("Decoded_co", covariant=True)


class Decoder(Protocol[Decoded_co]):
    """Makes a typed answer of a body: msgspec's own decoder, or one that forgives more."""

    def decode(self, body: bytes, /) -> Decoded_co:
        """Return the answer. Raises msgspec.DecodeError, UnicodeDecodeError or RecursionError for what is none."""
        ...


class Call(msgspec.Struct, Generic[Value], frozen=True):
    """One request. `path` is built from constants, UUIDs and integers only; `caller` is whose share it takes."""

    decoder: Decoder[Value]
    path: bytes
    caller: Caller
    method: Method = b"GET"
    body: bytes | None = None
    kind: Kind = "read"
    has_permit: bool = False
    """Whether the caller holds a permit already, for this call and others."""
    is_of_many_threads: bool = False
    """Whether Airbyte answers it from other threads than the few of its public API."""
    deadline_seconds: float = 15.0
    max_bytes: int = MAX_PAGE_BYTES

    def __repr__(self) -> str:
        """Leave out the body, which may hold the client secret."""
        return f"Call({self.kind} {self.path!r})"


class Answer(msgspec.Struct, frozen=True):
    """Status and body as they came. `delimited`: its end was announced, so that a cut would have been noticed."""

    status: int
    content_type: str
    retry_after: str
    body: bytes
    delimited: bool

    def __repr__(self) -> str:
        """Leave out the body, which may hold a token."""
        return f"Answer({self.status}, {len(self.body)} bytes)"


class Fault(Exception):
    """A call failed as `error` says; `transient` if the same call may succeed on another try.

    `is_doubtful` if what was asked for may be all that fails.
    """

    def __init__(
        self, error: UpstreamError, *, transient: bool, reached: bool = True, is_doubtful: bool = False
    ) -> None:
        super().__init__(error.detail)
        error.reached = error.reached and reached
        self.error = error
        self.transient = transient
        self.is_doubtful = is_doubtful


def decode(answer: Answer, call: Call[Value]) -> Value:
    """Return the typed answer. Raises UpstreamRefused for a 4xx, UpstreamInvalid or Fault for what is no answer."""
    is_json = answer.content_type.partition(";")[0].strip().lower() == "application/json"
    if HTTPStatus.BAD_REQUEST <= answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        raise UpstreamRefused(
            answer.status,
            _problem_title(answer.body) if is_json else "",
            detail=f"{answer.status} from Airbyte",
        )
    if answer.status != HTTPStatus.OK:
        invalid = UpstreamInvalid(detail=f"{answer.status} from Airbyte")
        invalid.upstream_status = answer.status
        raise invalid
    if not is_json:
        kind = "an HTML page" if "html" in answer.content_type else "something else"
        raise UpstreamInvalid(detail=f"{kind} instead of JSON: is airbyte.base_url right?")
    try:
        return call.decoder.decode(answer.body)
    # UnicodeDecodeError: text that is not UTF-8 raises outside msgspec's own error tree.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        invalid = UpstreamInvalid(detail=f"{type(error).__name__}: {str(error)[:120]}")
        raise Fault(invalid, transient=not answer.delimited) from None


def _problem_title(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=Problem).title or ""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def pause_seconds(retry_after: str, timings: PauseTimings) -> int:
    """Return the whole seconds of a Retry-After, kept between 1 and the longest pause.

    Where it is absent, a date or nonsense the pause is one of its own.
    """
    try:
        seconds = int(retry_after)
    except ValueError:
        return timings.unstated
    return min(max(seconds, 1), timings.longest)
