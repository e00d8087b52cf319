"""Whoever is nearer to the trouble gives up sooner, and so can say what it is: the order of all deadlines."""

import re
from pathlib import Path

import pytest

from gateway.airbyte import Deadlines
from gateway.deployment.systemd import Installation, service_unit
from gateway.syncs.timings import CancelTimings, TriggerTimings, WatchTimings
from gateway.web.prefer import LONGEST_WAIT
from gateway.web.server.limits import ConnectionLimits
from gateway.web.timings import ServerTimings

DEPLOY = Path(__file__).parents[2] / "deploy"
SERVER = ServerTimings()


def seconds(text: str, pattern: str) -> float:
    """The one figure of a line, wherever the file has it."""
    (found,) = set(re.findall(pattern, text, re.MULTILINE))
    return float(found)


@pytest.mark.parametrize("nginx", ["nginx.conf", "nginx-compose.conf"])
@pytest.mark.parametrize("ports", [(), (8080, 8081)], ids=["one gateway", "several"])
def test_airbyte_gives_up_before_the_answer_the_stop_nginx_and_systemd(nginx: str, ports: tuple[int, ...]) -> None:
    configuration = (DEPLOY / nginx).read_text(encoding="utf-8")
    unit = service_unit(Installation(ports=ports))
    airbyte, trigger = Deadlines(), TriggerTimings()

    order = [
        airbyte.trigger,
        trigger.answer,
        SERVER.grace,
        seconds(configuration, r"^ *proxy_read_timeout (\d+)s;$"),
        seconds(unit, r"^TimeoutStopSec=(\d+)s$"),
    ]

    assert order == sorted(set(order))
    assert trigger.look + airbyte.trigger + trigger.reconcile <= trigger.answer
    assert trigger.claim <= trigger.answer
    # Who waits for a job's end, and for a pending job to be cancelled, which is read once more then.
    assert WatchTimings().longest > LONGEST_WAIT
    assert WatchTimings().longest + CancelTimings().read < SERVER.grace
    # A read waits for this gateway's permit, then for the cluster's.
    assert 2 * airbyte.permit + airbyte.read < SERVER.grace
    assert max(SERVER.drain, SERVER.handover) + SERVER.grace < order[-1]
    assert seconds((DEPLOY / "compose.yaml").read_text(encoding="utf-8"), r"^ *stop_grace_period: (\d+)s$") == order[-1]


def test_nginx_lets_a_kept_connection_go_before_the_gateway_closes_it() -> None:
    configuration = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")

    assert seconds(configuration, r"^    keepalive_timeout (\d+)s;$") < SERVER.keep_alive
    assert ConnectionLimits().receive_seconds < SERVER.keep_alive
