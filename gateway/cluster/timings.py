"""How long gateways wait for each other and for Valkey, in seconds. Tests pass their own."""

import msgspec


class MembershipTimings(msgspec.Struct, frozen=True):
    """When a gateway says that it lives, and when the others believe it."""

    heartbeat: float = 2.0
    sure: float = 6.0
    """So long after its last heartbeat the others surely count a gateway as live: what the store counts by, less what
    sending something may take."""
    settling: float = 5.0
    """Until all that live have said so again, after a time when none could."""
    outage: float = 300.0
    """How long ago a gateway may have been seen last that could not say that it lives."""
    room_wait: float = 10.0
    """How long a gateway that has to run alone waits for the one before it: one that was killed counts as live for as
    long."""
    room_check: float = 0.5
    """How often a gateway that has to run alone looks whether the one before it is gone."""


class PermitTimings(msgspec.Struct, frozen=True):
    """How long a permit in Valkey lasts, and how often its holder says that it is still needed."""

    hold: float = 6.0
    """After this without a word from its holder a permit is free again: that gateway was killed."""
    renew: float = 2.0
    release_retry: float = 0.1
    """How often a permit is given back that could not be."""
    poll: float = 0.02
    """How often one who waits asks for a permit: Valkey tells nobody that one came free."""


class ValkeyTimings(msgspec.Struct, frozen=True):
    """How long Valkey may take, and how often it is asked whether it is back."""

    patience: float = 0.075
    """For a batch, from its sending. With the wait to be sent the decision falls within 100 ms."""
    late: float = 0.02
    """A deadline noticed later than this found the machine or the event loop standing still, which says nothing about
    the server: its answer may well be there."""
    probe: float = 1.0
    """For a probe, which also connects. Only the start waits for it."""
    first_probe_pause: float = 0.25
    longest_probe_pause: float = 5.0
    reliable: float = 10.0
    """A server that fails again sooner than this after it came back is probed less often."""


class ClusterTimings(msgspec.Struct, frozen=True):
    """All timings of the room."""

    membership: MembershipTimings = MembershipTimings()
    permits: PermitTimings = PermitTimings()
    valkey: ValkeyTimings = ValkeyTimings()
