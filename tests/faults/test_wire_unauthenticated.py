"""What unauthenticated clients take from others, over real sockets: the order of answers, and room to connect."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Event

import pytest
from starlette.types import Receive, Scope, Send

from gateway.auth import keys
from gateway.web.admission import Gate
from gateway.web.middleware.admission import AdmissionMiddleware
from gateway.web.router import ApiRoutes
from gateway.web.server.limits import ConnectionLimits
from tests.faults.test_wire_limits import wait_until
from tests.faults.wire import Running, answer_lifespan, answer_ok, answers_in, read_answer, read_to_end, request, send
from tests.faults.wire import serving as serving_app
from tests.support import BOUND_SECONDS, silent_log

KEY = "good"
STATUS = request("/api/v1/status", f"Authorization: Bearer {KEY}")
CLIENTS = 1_000
ROUTES = ApiRoutes("/api/v1", [])
LIMITS = ConnectionLimits(receive_seconds=BOUND_SECONDS)
FEW = ConnectionLimits(receive_seconds=BOUND_SECONDS, connections=10)
HOME, ELSEWHERE = "127.0.0.1", "127.0.0.2"


class Ignored:
    def observe(self, method: str, route: str, status: int, seconds: float) -> None: ...

    def count_shed(self, reason: str) -> None: ...


@dataclass
class Busy:
    """An application that holds the event loop at `/hold` until it is let go, and tells in which order it began."""

    is_held: Event = field(default_factory=Event)
    may_go: Event = field(default_factory=Event)
    began: list[str] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
            return
        self.began.append(scope["path"])
        if scope["path"] == "/hold":
            self.is_held.set()
            self.may_go.wait(BOUND_SECONDS)
        await answer_ok(send, scope["path"].encode())


@contextmanager
def serving(app: Busy, limits: ConnectionLimits = LIMITS, trusted_proxies: tuple[str, ...] = ()) -> Iterator[Running]:
    gate = Gate(routes=ROUTES, monotonic=time.monotonic, observer=Ignored(), request_log=silent_log())
    gate.known_keys.note_good(keys.digest(KEY), 1)
    with serving_app(
        AdmissionMiddleware(app, gate=gate), limits, gate=gate, trusted_proxies=trusted_proxies
    ) as running:
        yield running


def connected(stack: ExitStack, running: Running, number: int, *, source: str = HOME) -> list[socket.socket]:
    return [
        stack.enter_context(socket.create_connection(running.address, BOUND_SECONDS, source_address=(source, 0)))
        for _ in range(number)
    ]


@pytest.mark.parametrize("path", ["/docs/api", "/dashboard", "/api/v1/status"])
@pytest.mark.parametrize("late", [STATUS, request("/healthz")], ids=["a good key", "health"])
def test_a_thousand_unauthenticated_requests_are_begun_after_one_that_came_last(path: str, late: bytes) -> None:
    app = Busy()
    with serving(app) as running, ExitStack() as stack:
        crowd = connected(stack, running, CLIENTS)
        wait_until(lambda: running.connections == CLIENTS)
        holder, caller = connected(stack, running, 2, source=ELSEWHERE)
        wait_until(lambda: running.connections == CLIENTS + 2)
        send(holder, request("/hold"))
        assert app.is_held.wait(BOUND_SECONDS)
        for each in crowd:
            send(each, request(path))
        send(caller, late)
        app.may_go.set()

        assert read_answer(caller).status == 200
        # Those of the round in which it came in had begun: a slice of them.
        before = app.began.index(late.split()[1].decode(), app.began.count("/hold"))
        statuses = [read_answer(each).status for each in crowd]

    assert before < CLIENTS / 10
    assert set(statuses) <= {200, 503}


def test_an_address_that_connects_without_end_keeps_no_other_out() -> None:
    with serving(Busy(), FEW) as running, ExitStack() as stack:
        connected(stack, running, 3 * FEW.connections)

        (other,) = connected(stack, running, 1, source=ELSEWHERE)
        send(other, request("/docs/api"))

        assert read_answer(other).status == 200


def test_a_trusted_proxy_may_have_every_socket_connection() -> None:
    with serving(Busy(), FEW, trusted_proxies=(HOME,)) as running, ExitStack() as stack:
        everybody = connected(stack, running, FEW.connections)
        for each in everybody:
            send(each, request("/docs/api"))

        assert [read_answer(each).status for each in everybody] == [200] * FEW.connections
        assert running.connections == FEW.connections


def test_in_a_crowd_only_a_known_caller_keeps_a_socket_connection() -> None:
    with serving(Busy(), FEW) as running, ExitStack() as stack:
        caller, *_ = connected(stack, running, FEW.crowd)
        (other,) = connected(stack, running, 1, source=ELSEWHERE)
        wait_until(lambda: running.connections == FEW.crowd + 1)

        for _ in range(2):
            send(caller, STATUS)
            assert "connection" not in read_answer(caller).headers
        send(other, request("/docs/api"))
        (answer,) = answers_in(read_to_end(other))

    assert (answer.status, answer.headers["connection"]) == (200, "close")
