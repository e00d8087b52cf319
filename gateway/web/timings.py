"""How long the server waits for its callers and for its own end, and callers for the server, in seconds.

Their order with those of Airbyte, nginx and systemd is a promise, which tests/deployment/test_deadlines.py states.
"""

import math
from dataclasses import dataclass

ONE_A_ROUND = 0.000001
"""A slice in which one request begins, whatever it takes."""


@dataclass(frozen=True)
class ServerTimings:
    """Timings of the server of one process."""

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


@dataclass(frozen=True)
class ConnectionTimings:
    """What each socket connection keeps to."""

    receive_seconds: float = 10.0
    """From the opening of a socket connection, then from a request's first byte, to the end of its body."""
    unread_seconds: float = 25.0
    """Without the client reading anything of an answer. With what it takes to notice, half a minute."""
    linger_seconds: float = 2.0
    """After the last answer, for the client to read it: a close on unread bytes would destroy it (RFC 9112 §9.6)."""
    pause_seconds: float = 0.01
    """Before a next probe, however many there are: whoever asks sooner is held back as one who is shed."""


@dataclass(frozen=True)
class Terms:
    """What a class of requests is granted."""

    slice: float
    """Work begun in one round of the event loop; at least one request. Between rounds socket connections are accepted
    (libuv: one at a time) and read; without it a round under load takes 100 ms and the queue is the kernel's, unseen.
    """
    slice_alone: float
    """The same while the first class has had nothing to begin for a second: fewer rounds cost less."""
    longest_wait: float
    """Of a group alone."""
    short_queue: int = 32
    """So few are a burst and no overload, whatever each seems to cost: where the machine stood still for a moment, or
    its cores have other work, each looks dear, and refusing them would make nobody's answer quicker."""


@dataclass(frozen=True)
class AdmissionTimings:
    """What each class of requests is granted, and for how long the first counts as at work."""

    known: Terms = Terms(slice=0.005, slice_alone=0.005, longest_wait=0.1)
    """A wait callers do not feel, and far below the second or two after which they give up."""
    probes: Terms = Terms(slice=0.0005, slice_alone=0.005, longest_wait=math.inf)
    """They are never shed: an orchestrator would restart what only has much to do. But many of them wait."""
    free: Terms = Terms(slice=ONE_A_ROUND, slice_alone=ONE_A_ROUND, longest_wait=math.inf)
    """Known callers' calls that take no token: they wait behind no other call and are never shed, so that a leaked key
    can be ended in the middle of its abuse. One in a round: whatever there are of them, they delay nobody else."""
    others: Terms = Terms(slice=0.0005, slice_alone=0.005, longest_wait=0.05)
    """A known caller waits for at most a slice before he begins. Where he has no work, rounds follow each other at once
    and others have all of the time."""
    renders: Terms = Terms(slice=ONE_A_ROUND, slice_alone=ONE_A_ROUND, longest_wait=math.inf)
    """One in a round, whatever it takes. What was begun is finished: none is shed."""
    shared: float = 1.0
    """From the last request of the first class on, the others leave it room."""


@dataclass(frozen=True)
class Pace:
    """How many are shed, in a tick of some seconds, without being held; and released, when some are held."""

    tick: float
    each_tick: int
    longest_hold: float = math.inf
    most_ticks: float = math.inf
    """Made up for at once, where a busy loop has missed some."""


@dataclass(frozen=True)
class BackPressureTimings:
    """The pace for each kind of caller."""

    known: Pace = Pace(tick=0.01, each_tick=35, longest_hold=0.15)
    """At some 23 µs for each a twelfth of a core."""
    others: Pace = Pace(tick=0.005, each_tick=10, most_ticks=2)
    """Of unauthenticated clients, whatever they number: a thousand that connected together would all return together,
    and who then has a good key would wait for a thousand refusals."""
    costly: Pace = Pace(tick=0.005, each_tick=2, most_ticks=2)
    """Of those whom the application refuses, because a body is still to come for instance: each costs some five times
    as much."""
    probes: Pace = Pace(tick=0.005, each_tick=20, most_ticks=2)
    """Of those whose probe is answered for the application, and who paused before it."""
