"""How long the server waits for its callers and for its own end, in seconds.

Their order with those of Airbyte, nginx and systemd is a promise, which tests/deployment/test_deadlines.py states.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerTimings:
    """Timings of the server of one process; what each socket connection keeps to is in `server/limits.py`."""

    keep_alive: int = 75
    """Longer than the 60 s a proxy keeps its side, so that it never writes into a closed socket connection."""
    drain: float = 2.0
    """Between SIGTERM and the end of accepting: a load balancer that asks every second or two sees that it is not ready
    and sends its next requests elsewhere."""
    handover: float = 0.5
    """Instead of `drain` when the listener is inherited. Nobody need go elsewhere: who connects waits for the next
    process. What is left is to ask the socket connections a proxy keeps to go, each by an answer, and to hear those
    just accepted: one closed at the moment a trigger is written into it fails the trigger, and a new one even a read.
    """
    grace: int = 85
    """For requests under way at a stop: longer than the longest answer."""
    echo: float = 0.5
    """A second signal that follows the first this soon is the first: a terminal or a supervisor told us and our parent,
    and the parent (the one-file binary's, say) handed its own on."""
    signal_check: float = 0.1
    """How soon a second signal is noticed; as often as uvicorn looks for the first."""


@dataclass(frozen=True)
class NotStartedTimings:
    """Timings of a process that cannot start, while it answers the callers of an inherited listener."""

    answering: float = 5.0
    """Then the process ends, and its supervisor tries to start another: whoever mended the settings waits no longer."""
    head: float = 2.0
    """For a request to arrive. It is answered in any case."""
    lingering: float = 1.0
    """For the caller to read the answer and to close; a socket connection reset sooner could lose it."""
