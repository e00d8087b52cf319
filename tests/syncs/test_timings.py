"""Timings that only work in one order. Those with nginx and systemd stand in tests/deployment/test_deadlines.py."""

from gateway.airbyte import Deadlines
from gateway.syncs.timings import TriggerTimings


def test_an_open_trigger_is_left_alone_for_as_long_as_its_gateway_may_be_at_it() -> None:
    timings = TriggerTimings()

    assert timings.claim + timings.follow + timings.look + timings.reconcile < timings.answer < timings.longest
    assert timings.settle > Deadlines().trigger
