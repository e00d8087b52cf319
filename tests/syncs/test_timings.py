"""Timings that only work in one order."""

import re
from pathlib import Path

from gateway.airbyte import Deadlines
from gateway.syncs.timings import TriggerTimings
from gateway.web.server.server import GRACE_SECONDS

ROOT = Path(__file__).parents[2]


def seconds_in(path: str, pattern: str) -> float:
    """What a file of the deployment says."""
    found = re.search(pattern, (ROOT / path).read_text(encoding="utf-8"))
    assert found is not None
    return float(found[1])


def test_whoever_is_nearer_to_the_caller_waits_longer_for_a_trigger() -> None:
    deadlines = Deadlines()
    airbyte = deadlines.trigger + deadlines.reconcile
    answer = TriggerTimings().answer
    nginx = seconds_in("gateway/deployment/nginx.conf.jinja", r"proxy_read_timeout (\d+)s;")
    systemd = seconds_in("deploy/gateway.service", r"TimeoutStopSec=(\d+)s")

    assert airbyte <= answer < GRACE_SECONDS < nginx < systemd


def test_an_open_trigger_is_left_alone_for_as_long_as_its_gateway_may_be_at_it() -> None:
    timings = TriggerTimings()

    assert timings.claim + timings.follow < timings.longest
    assert timings.settle > Deadlines().trigger
