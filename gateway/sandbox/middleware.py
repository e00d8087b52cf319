"""What happens to a request before and after its route: recording, canned answers, held-back answers."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.sandbox.faults import Faults
from gateway.sandbox.wire import json_answer


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request as it arrived. Header names are lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


class RecordingMiddleware:
    """Keeps every request, in order of arrival."""

    def __init__(self, app: ASGIApp, *, requests: deque[RecordedRequest]) -> None:
        self.app = app
        self.requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = await _whole_body(receive)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope["query_string"].decode("latin-1")
        self.requests.append(RecordedRequest(scope["method"], scope["path"], query, headers, body))
        replay: deque[Message] = deque([{"type": "http.request", "body": body, "more_body": False}])

        async def receive_again() -> Message:
            return replay.popleft() if replay else await receive()

        await self.app(scope, receive_again, send)


class DateMiddleware:
    """Dates every answer by the sandbox's own clock, as a real server does."""

    def __init__(self, app: ASGIApp, *, clock: Callable[[], float]) -> None:
        self.app = app
        self.clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_date(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault("date", formatdate(self.clock(), usegmt=True))
            await send(message)

        await self.app(scope, receive, send_with_date)


class CannedAnswerMiddleware:
    """Answers instead of the routes when a test has asked for it."""

    def __init__(self, app: ASGIApp, *, faults: Faults) -> None:
        self.app = app
        self.faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self.faults.take_canned(scope["method"], scope["path"]) if scope["type"] == "http" else None
        app = self.app if answer is None else answer.response()
        await app(scope, receive, send)


class TrailingSlashMiddleware:
    """Takes one slash off the end of a path before it is matched, as Micronaut does."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and len(scope["path"]) > 1:
            scope = {**scope, "path": scope["path"].removesuffix("/")}
        await self.app(scope, receive, send)


class InterferenceMiddleware:
    """Sheds load, holds answers back and swaps them, once the work is done."""

    def __init__(self, app: ASGIApp, *, faults: Faults) -> None:
        self.app = app
        self.faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.faults.rate_limited:
            await json_answer({"message": "You are being rate limited."}, status=429)(scope, receive, send)
            return
        swapped = self.faults.post_answer if scope["method"] == "POST" else None

        async def send_held_back(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self.faults.hold_back(scope["method"])
            if swapped is None:
                await send(message)

        await self.app(scope, receive, send_held_back)
        if swapped is not None:
            await swapped.response()(scope, receive, send)


async def _whole_body(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)
