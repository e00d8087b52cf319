"""Whose key a request carries, and the one 401 for everything else."""

from datetime import timedelta

import pytest
from starlette.types import Message, Receive, Scope, Send

from gateway.auth import keys
from gateway.auth.guess_throttle import AuthThrottle
from gateway.errors import Unauthorized
from gateway.models import Client, Principal
from gateway.web.caller import LONGEST_AGENT, user_agent
from gateway.web.key_check import PRINCIPAL_KEY, KeyCheck
from gateway.web.middleware.authentication import AuthenticationMiddleware
from gateway.web.request_context import SCOPE_KEY, RequestContext
from tests.support import START, HandClock

KEY = "smrt_abcdefghijklmnopqrstuvwxyzABCD1RmoFN"
UNKNOWN_KEY = "smrt_0000000000000000000000000000003cjI35"
CLIENT = Client(id=1, slug="acme", name="Acme", plan="free", created_at="2026-04-01T03:00:00.000Z")

Headers = list[tuple[bytes, bytes]]


class Directory:
    """Knows one key, and remembers what it was asked and told."""

    def __init__(self, principal: Principal | None = None) -> None:
        self.principals = {keys.digest(KEY): principal or Principal(client=CLIENT, key_id="key_1", scope="full")}
        self.asked: list[bytes] = []
        self.uses: list[tuple[str, float, str | None, str | None]] = []
        self.noted: list[tuple[str, tuple[str, bytes], str | None]] = []

    def remembered(self, digest: bytes) -> Principal | None:
        return None

    async def principal(self, digest: bytes) -> Principal | None:
        self.asked.append(digest)
        return self.principals.get(digest)

    def count_again(self, key_id: str, moment: float) -> bool:
        return False

    def count_first(self, key_id: str, moment: float, *, address: str | None, agent: str | None) -> None:
        self.uses.append((key_id, moment, address, agent))

    def is_noted(self, key_id: str, origin: tuple[str, bytes], moment: float) -> bool:
        return (key_id, origin) in [noted[:2] for noted in self.noted]

    def note(self, key_id: str, origin: tuple[str, bytes], moment: float, *, agent: str | None) -> None:
        self.noted.append((key_id, origin, agent))


async def nothing_to_receive() -> Message:
    pytest.fail("the body was read")


async def nothing_to_send(message: Message) -> None:
    pytest.fail(f"{message['type']} was sent")


async def pass_through(
    headers: Headers, directory: Directory, clock: HandClock | None = None, *, path: str = "/api/v1/status"
) -> Scope | None:
    """The scope as the application beneath got it; None if it was never called."""
    reached: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        reached.append(scope)

    check = KeyCheck(
        directory=directory,
        calls=directory,
        callers=directory,
        clock=clock or HandClock(),
        throttle=AuthThrottle(longest_wait=0.8),
    )
    middleware = AuthenticationMiddleware(app, check=check)
    scope = {"type": "http", "method": "GET", "path": path, "headers": headers, SCOPE_KEY: RequestContext("id")}
    await middleware(scope, nothing_to_receive, nothing_to_send)
    return reached[0] if reached else None


async def refusal_of(
    headers: Headers, directory: Directory, clock: HandClock | None = None, *, path: str = "/api/v1/status"
) -> Unauthorized:
    with pytest.raises(Unauthorized) as refusal:
        await pass_through(headers, directory, clock, path=path)
    assert directory.uses == []
    return refusal.value


@pytest.mark.parametrize(
    "value",
    [
        f"Bearer {KEY}",
        f"bearer {KEY}",
        f"BEARER {KEY}",
        f"bEaReR {KEY}",
        f"Bearer   {KEY}",
        f"Bearer {KEY} ",
        f"Bearer {KEY}\t",
        f"Bearer {KEY}\r\n",
        f"Bearer \t{KEY}\n",
    ],
)
async def test_a_known_key_is_let_in_whatever_the_case_of_its_scheme(value: str) -> None:
    directory = Directory()

    scope = await pass_through([(b"host", b"x"), (b"authorization", value.encode())], directory)

    assert scope is not None
    assert scope[PRINCIPAL_KEY] == Principal(client=CLIENT, key_id="key_1", scope="full")
    assert directory.asked == [keys.digest(KEY)]


async def test_the_request_log_learns_client_and_key_id() -> None:
    scope = await pass_through([(b"authorization", f"Bearer {KEY}".encode())], Directory())

    assert scope is not None
    record = scope[SCOPE_KEY]
    assert (record.client, record.key_id) == ("acme", "key_1")


async def test_the_use_of_a_key_is_noted_with_the_time_of_the_clock() -> None:
    clock, directory = HandClock(), Directory()
    clock.advance(90)

    scope = await pass_through([(b"authorization", f"Bearer {KEY}".encode())], directory, clock)

    moment = (START + timedelta(seconds=90)).timestamp()
    assert directory.uses == [("key_1", moment, None, None)]
    assert scope is not None
    assert scope[SCOPE_KEY].key_used_at == moment


@pytest.mark.parametrize(
    ("said", "noted"),
    [
        ([], None),
        ([b""], None),
        ([b"curl/8.5.0"], "curl/8.5.0"),
        ([b"first", b"second"], "first"),
        ([b"a\x1b[31m\r\nb\x00c\x85\xa0\xad"], "a[31mbc"),
        ([b"caf\xe9"], "café"),
        ([b"x" * 10_000], "x" * 200),
        ([b"\x00" * 300 + b"x" * 300], "x" * 200),
        ([b"my key is " + KEY.encode()], None),
        ([b"x" * 190 + KEY.encode()], None),
        ([b"\x00"], None),
    ],
)
def test_what_a_caller_calls_itself_is_short_printable_and_no_key(said: list[bytes], noted: str | None) -> None:
    headers = [(b"host", b"x"), *((b"user-agent", value) for value in said)]

    assert user_agent({"type": "http", "headers": headers}) == noted


async def test_without_a_header_the_challenge_names_no_error() -> None:
    directory = Directory()

    refusal = await refusal_of([(b"host", b"x"), (b"x-api-key", KEY.encode())], directory)

    assert refusal.headers == {"WWW-Authenticate": 'Bearer realm="gateway"'}
    assert directory.asked == []


NO_KEYS = [
    [b""],
    [b"Bearer"],
    [b"Bearer "],
    [b"Basic YTpi"],
    [KEY.encode()],
    [b"Token " + KEY.encode()],
    [b"Bearer\t" + KEY.encode()],
    [b"Bearer " + KEY[:-1].encode()],
    [b"Bearer " + KEY[:-1].encode() + b"O"],
    [b"Bearer " + KEY.encode() + b" x"],
    [b"Bearer " + KEY.encode() + b"," + KEY.encode()],
    [b'Bearer "' + KEY.encode() + b'"'],
    [b"Bearer \xff\xfe\x80"],
    [b"Bearer smrt_" + b"\xe9" * 36],
    [b"Bearer " + KEY.encode() + b"\x00"],
    [b"B\xebarer " + KEY.encode()],
    [b"Bearer smrt_" + b"0" * 10_000],
    [b"Bearer " + KEY.encode(), b"Bearer " + KEY.encode()],
    [b"Bearer " + KEY.encode(), b"Basic YTpi"],
    [b"", b"Bearer " + KEY.encode()],
]


async def test_what_is_no_key_is_refused_without_looking_it_up() -> None:
    for values in NO_KEYS:
        directory = Directory()

        refusal = await refusal_of([(b"authorization", value) for value in values], directory)

        assert refusal.message == "Unauthorized — invalid or missing API key", values
        assert refusal.headers == {"WWW-Authenticate": 'Bearer realm="gateway", error="invalid_token"'}, values
        assert directory.asked == [], values


async def test_an_unknown_key_is_refused_after_one_look() -> None:
    directory = Directory()

    refusal = await refusal_of([(b"authorization", f"Bearer {UNKNOWN_KEY}".encode())], directory)

    assert refusal.headers == {"WWW-Authenticate": 'Bearer realm="gateway", error="invalid_token"'}
    assert directory.asked == [keys.digest(UNKNOWN_KEY)]


async def test_a_key_works_until_the_moment_it_expires() -> None:
    clock = HandClock()
    directory = Directory(
        Principal(client=CLIENT, key_id="key_1", scope="full", expires_at=START + timedelta(seconds=10))
    )
    headers = [(b"authorization", f"Bearer {KEY}".encode())]

    clock.advance(9.999)
    assert await pass_through(headers, directory, clock) is not None
    directory.uses.clear()

    clock.advance(0.001)
    refusal = await refusal_of(headers, directory, clock)
    assert refusal.headers == {"WWW-Authenticate": 'Bearer realm="gateway", error="invalid_token"'}


async def test_every_refusal_reads_the_same() -> None:
    expired = Directory(Principal(client=CLIENT, key_id="key_1", scope="full", expires_at=START))
    refusals = [
        await refusal_of([(b"authorization", b"Bearer x")], Directory()),
        await refusal_of([(b"authorization", f"Bearer {UNKNOWN_KEY}".encode())], Directory()),
        await refusal_of([(b"authorization", f"Bearer {KEY}".encode())], expired),
    ]

    assert len({(refusal.status, refusal.message, str(refusal.headers)) for refusal in refusals}) == 1


async def test_what_is_no_request_passes_untouched() -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    directory = Directory()
    check = KeyCheck(
        directory=directory,
        calls=directory,
        callers=directory,
        clock=HandClock(),
        throttle=AuthThrottle(longest_wait=0.8),
    )
    middleware = AuthenticationMiddleware(app, check=check)
    await middleware({"type": "lifespan"}, nothing_to_receive, nothing_to_send)

    assert seen == [{"type": "lifespan"}]


async def test_who_calls_is_noted_by_address_and_program_until_it_is_known() -> None:
    directory = Directory()
    headers = [(b"authorization", f"Bearer {KEY}".encode()), (b"user-agent", b"loader/2.1" + b"x" * 500)]

    for _ in range(2):
        await pass_through(headers, directory)

    agent = f"loader/2.1{'x' * 500}"[:LONGEST_AGENT]
    assert directory.noted == [("key_1", ("", agent.encode()), agent)]
