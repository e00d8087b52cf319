"""What a key may call, and what every answer tells of it."""

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import ApiError, ConnectionNotFound, RateLimitExceeded
from gateway.limiter import CallLimiter, in_words
from gateway.models import ClientLimit, Principal, RatePolicy
from gateway.telemetry.log import write_line
from gateway.telemetry.metrics import Metrics
from gateway.web.key_check import PRINCIPAL_KEY
from gateway.web.middleware.errors import ErrorMiddleware
from gateway.web.middleware.rate_limit import RateLimitMiddleware
from gateway.web.middleware.request_log import RequestLog, RequestLogMiddleware
from gateway.web.request_context import SCOPE_KEY, RequestContext
from tests.support import HandClock, a_caller, counters

SHIPPED = RatePolicy(100, 60)


class Application:
    """Counts its calls; raises `error` if there is one."""

    def __init__(self, error: ApiError | None = None) -> None:
        self.calls = 0
        self.error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls += 1
        if self.error is not None:
            raise self.error
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


async def nothing_to_receive() -> Message:
    pytest.fail("the body was read")


async def ignore(message: Message) -> None:
    """Take what is sent."""


def limiter_of(policy: RatePolicy, clock: HandClock) -> CallLimiter:
    return CallLimiter(policy, most_active=20, monotonic=clock.monotonic)


def limit_all(app: ASGIApp, limiter: CallLimiter) -> RateLimitMiddleware:
    """A rate limit from which no call is free."""
    return RateLimitMiddleware(app, limiter=limiter, is_free=lambda _: False)


def a_scope(rate: RatePolicy | None = None, key_id: str = "key_1", principal: Principal | None = None) -> Scope:
    return {
        "type": "http",
        "method": "GET",
        "headers": [],
        SCOPE_KEY: RequestContext("id"),
        PRINCIPAL_KEY: principal or a_caller(key_id, rate),
    }


def told(scope: Scope) -> list[tuple[bytes, bytes]]:
    """The rate-limit fields that the answer to this request will carry."""
    return [(name, value) for name, value in scope[SCOPE_KEY].headers if name.startswith(b"ratelimit")]


async def test_every_answer_tells_policy_and_what_is_left() -> None:
    clock, app = HandClock(), Application()
    middleware = limit_all(app, limiter_of(SHIPPED, clock))
    answers = []

    for pause in (0, 0, 0.3, 60):
        clock.advance(pause)
        scope = a_scope()
        await middleware(scope, nothing_to_receive, ignore)
        answers.append(told(scope))

    policy = (b"ratelimit-policy", b'"default";q=100;w=60')
    assert answers == [
        [policy, (b"ratelimit", b'"default";r=99;t=1')],
        [policy, (b"ratelimit", b'"default";r=98;t=1')],
        [policy, (b"ratelimit", b'"default";r=97;t=1')],
        [policy, (b"ratelimit", b'"default";r=99;t=1')],
    ]


async def test_the_call_too_many_is_refused_with_the_same_fields_and_never_reaches_the_application() -> None:
    clock, app = HandClock(), Application()
    middleware = limit_all(app, limiter_of(SHIPPED, clock))
    for _ in range(100):
        await middleware(a_scope(), nothing_to_receive, ignore)

    scope = a_scope()
    with pytest.raises(RateLimitExceeded) as refusal:
        await middleware(scope, nothing_to_receive, ignore)

    assert app.calls == 100
    assert refusal.value.message == "Rate limit exceeded — 100 requests per minute per API key"
    assert refusal.value.headers == {"Retry-After": "1"}
    assert told(scope) == [
        (b"ratelimit-policy", b'"default";q=100;w=60'),
        (b"ratelimit", b'"default";r=0;t=1'),
    ]


@pytest.mark.parametrize(
    ("policy", "message", "retry_after"),
    [
        (RatePolicy(1, 60), "Rate limit exceeded — 1 request per minute per API key", "60"),
        (RatePolicy(2, 3600), "Rate limit exceeded — 2 requests per hour per API key", "1800"),
        (RatePolicy(1, 10), "Rate limit exceeded — 1 request per 10 seconds per API key", "10"),
    ],
)
async def test_a_key_with_a_limit_of_its_own_is_told_its_own_figures(
    policy: RatePolicy, message: str, retry_after: str
) -> None:
    clock = HandClock()
    middleware = limit_all(Application(), limiter_of(SHIPPED, clock))
    for _ in range(policy.requests):
        await middleware(a_scope(policy), nothing_to_receive, ignore)

    with pytest.raises(RateLimitExceeded) as refusal:
        await middleware(a_scope(policy), nothing_to_receive, ignore)

    assert refusal.value.message == message
    assert refusal.value.headers == {"Retry-After": retry_after}


async def test_coming_back_when_told_succeeds() -> None:
    clock, app = HandClock(), Application()
    policy = RatePolicy(3, 7)
    middleware = limit_all(app, limiter_of(policy, clock))
    for round_trip in range(1, 20):
        for _ in range(3 if round_trip == 1 else 0):
            await middleware(a_scope(), nothing_to_receive, ignore)
        with pytest.raises(RateLimitExceeded) as refusal:
            await middleware(a_scope(), nothing_to_receive, ignore)
        calls = app.calls
        clock.advance(int(refusal.value.headers["Retry-After"]))
        await middleware(a_scope(), nothing_to_receive, ignore)
        assert app.calls == calls + 1, round_trip


async def test_one_key_does_not_use_up_another() -> None:
    app = Application()
    middleware = limit_all(app, limiter_of(RatePolicy(1, 60), HandClock()))

    await middleware(a_scope(key_id="key_1"), nothing_to_receive, ignore)
    await middleware(a_scope(key_id="key_2"), nothing_to_receive, ignore)

    assert app.calls == 2


async def test_a_call_too_many_for_the_client_is_told_so_beside_the_key_s_own_figures() -> None:
    middleware = limit_all(Application(), limiter_of(SHIPPED, HandClock()))
    limit = ClientLimit(total=RatePolicy(2, 60))
    for number in range(2):
        await middleware(a_scope(principal=a_caller(f"key_{number}", limit=limit)), nothing_to_receive, ignore)

    scope = a_scope(principal=a_caller("key_1", limit=limit))
    with pytest.raises(RateLimitExceeded) as refusal:
        await middleware(scope, nothing_to_receive, ignore)

    assert refusal.value.message == "Rate limit exceeded — 2 requests per minute per client"
    assert refusal.value.headers == {"Retry-After": "30"}
    assert told(scope) == [
        (b"ratelimit-policy", b'"default";q=100;w=60, "client";q=2;w=60'),
        (b"ratelimit", b'"default";r=99;t=1, "client";r=0;t=30'),
    ]


@pytest.mark.parametrize("policy", [SHIPPED, RatePolicy(1, 60)], ids=["raised deeper", "raised by the limit"])
async def test_an_error_answer_carries_the_fields_too(policy: RatePolicy) -> None:
    limited = limit_all(Application(ConnectionNotFound()), limiter_of(policy, HandClock()))
    principal = a_caller()

    async def with_principal(scope: Scope, receive: Receive, send: Send) -> None:
        scope[PRINCIPAL_KEY] = principal
        await limited(scope, receive, send)

    stack = RequestLogMiddleware(
        ErrorMiddleware(with_principal),
        request_log=RequestLog(new_id=lambda: "id", observer=Metrics(), failures=counters(), write_line=write_line),
    )
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    for _ in range(2):
        await stack({"type": "http", "method": "GET", "path": "/", "headers": []}, nothing_to_receive, send)

    starts = [message for message in sent if message["type"] == "http.response.start"]
    assert [message["status"] for message in starts] == [404, 404 if policy == SHIPPED else 429]
    headers = dict(starts[-1]["headers"])
    assert headers[b"ratelimit-policy"] == b'"default";q=%d;w=60' % policy.requests
    assert headers[b"ratelimit"] == (b'"default";r=98;t=1' if policy == SHIPPED else b'"default";r=0;t=60')
    assert headers[b"x-request-id"] == b"id"


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (RatePolicy(100, 1), "100 requests per second"),
        (RatePolicy(100, 60), "100 requests per minute"),
        (RatePolicy(1, 3600), "1 request per hour"),
        (RatePolicy(100, 86400), "100 requests per day"),
        (RatePolicy(100, 90), "100 requests per 90 seconds"),
    ],
)
def test_a_limit_is_said_in_words(policy: RatePolicy, words: str) -> None:
    assert in_words(policy) == words


async def test_what_is_no_request_passes_untouched() -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    middleware = limit_all(app, limiter_of(SHIPPED, HandClock()))
    await middleware({"type": "lifespan"}, nothing_to_receive, ignore)

    assert seen == [{"type": "lifespan"}]
