"""More work than the server can do, over real sockets: some is done, the rest refused at once, then all is well."""

import time
from concurrent.futures import ThreadPoolExecutor

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import Overloaded
from gateway.middleware.admission import AdmissionMiddleware, Gate
from gateway.wire_limits import WireLimits
from tests.faults.wire import Answer, answer_lifespan, answer_ok, request, serving, talk
from tests.support import BOUND_SECONDS

PATIENT = WireLimits(receive_seconds=BOUND_SECONDS, pipelined=100)
CLIENTS = 60


class Ignored:
    def observe(self, method: str, route: str, status: int, seconds: float) -> None: ...


async def cost_much(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await answer_lifespan(receive, send)
        return
    if scope["path"].startswith("/api/"):
        time.sleep(0.01)  # noqa: ASYNC251 - a turn of the event loop is what is in short supply
    await answer_ok(send)


class Guarded(AdmissionMiddleware):
    """As the gateway's application is: whoever serves it finds its gate."""

    def __init__(self, app: ASGIApp) -> None:
        self.gate = Gate(prefix="/api/v1", monotonic=time.monotonic, observer=Ignored())
        super().__init__(app, gate=self.gate)


def test_an_overload_is_shed_and_is_over_with_its_cause() -> None:
    app = Guarded(cost_much)
    # Sheds by the application, and at less cost by the connection.
    last = request("/api/v1/status", "Connection: close")
    with serving(app, PATIENT) as running, ThreadPoolExecutor(CLIENTS) as pool:

        def ask(_: int) -> list[Answer]:
            return [answer for _ in range(4) for answer in talk(running.address, last)]

        for _ in range(20):
            talk(running.address, last)
        answers = [answer for some in pool.map(ask, range(CLIENTS)) for answer in some]

        assert {answer.status for answer in answers} == {200, 503}
        shed = [answer for answer in answers if answer.status == 503]
        for answer in shed:
            assert answer.error == Overloaded.message
            assert answer.headers["retry-after"] == "1"
        assert len({answer.headers["x-request-id"] for answer in shed}) == len(shed)
        assert [answer.status for _ in range(20) for answer in talk(running.address, last)] == [200] * 20
        assert [answer.status for answer in talk(running.address, request("/healthz", "Connection: close"))] == [200]


def test_what_a_connection_sheds_leaves_it_usable_and_in_order() -> None:
    """Kept connections: refused by the connection itself, answered by the application once there is room."""
    app = Guarded(cost_much)
    with serving(app, PATIENT) as running, ThreadPoolExecutor(CLIENTS) as pool:
        for _ in range(20):
            talk(running.address, request("/api/v1/status", "Connection: close"))

        def ask(_: int) -> list[Answer]:
            six = [request("/api/v1/status")] * 5 + [request("/api/v1/status", "Connection: close")]
            return talk(running.address, *six)

        conversations = list(pool.map(ask, range(CLIENTS)))

        assert {len(each) for each in conversations} == {6}
        answers = [answer for each in conversations for answer in each]
        assert {answer.status for answer in answers} == {200, 503}
        shed = [answer.headers["x-request-id"] for answer in answers if answer.status == 503]
        assert len(set(shed)) == len(shed)
