"""W3C Trace Context: the trace that a request belongs to, read from its `traceparent` and passed on with its calls."""

import re
from contextvars import ContextVar
from typing import NamedTuple

TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
"""https://www.w3.org/TR/trace-context/#traceparent-header. Versions to come may add fields at the end."""
OUR_VERSION, NO_VERSION = b"00", b"ff"
SAMPLED = 1
"""The one flag of our version that means something to others."""


class Trace(NamedTuple):
    """The trace of a request, and the span of it that is the parent of what we do."""

    trace_id: str
    span_id: str
    is_sampled: bool

    @property
    def header(self) -> bytes:
        """The value of `traceparent`, in our version."""
        return f"00-{self.trace_id}-{self.span_id}-{self.is_sampled:02x}".encode("ascii")


def read_traceparent(value: bytes) -> Trace | None:
    """Return the trace that a `traceparent` names; None if it is malformed, as the standard has it."""
    found = TRACEPARENT.fullmatch(value)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == NO_VERSION or (version == OUR_VERSION and more) or not (int(trace_id, 16) and int(span_id, 16)):
        return None
    return Trace(trace_id.decode("ascii"), span_id.decode("ascii"), bool(int(flags, 16) & SAMPLED))


_current: ContextVar[bytes | None] = ContextVar("traceparent", default=None)


def carry(trace: Trace | None) -> None:
    """Pass the trace on with the calls of this task and of those that it begins; None: pass on none.

    To be called for each request: a pipelined one begins in the context of the one before it.
    """
    if trace is not None:
        _current.set(trace.header)
    elif _current.get() is not None:  # looked at first: to set costs three times as much
        _current.set(None)


def current_traceparent() -> bytes | None:
    """Return the `traceparent` that calls of this task carry; None without a trace."""
    return _current.get()
