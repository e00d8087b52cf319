"""Request bodies over the limit, announced and not."""

import pytest
from starlette.types import Message, Receive, Scope, Send

from gateway.errors import BadRequest, ContentTooLarge
from gateway.web.middleware.body_limit import BodyLimitMiddleware

LIMIT = 10


class Reader:
    """An application that reads the whole body and keeps it."""

    def __init__(self) -> None:
        self.was_called = False
        self.body = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.was_called = True
        while True:
            message = await receive()
            self.body += message.get("body", b"")
            if not message.get("more_body", False):
                return


async def nothing_to_receive() -> Message:
    pytest.fail("the body was read")


async def nothing_to_send(message: Message) -> None:
    pytest.fail(f"{message['type']} was sent")


def receiving(*chunks: bytes) -> Receive:
    """Yields `chunks` and fails when it is asked for more."""
    messages: list[Message] = [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
        for number, chunk in enumerate(chunks, start=1)
    ]

    async def receive() -> Message:
        assert messages, "more was read than was sent"
        return messages.pop(0)

    return receive


def a_scope(*lengths: bytes) -> Scope:
    """Return the scope of a request with these lengths, or of one in chunks."""
    headers = [(b"content-length", length) for length in lengths] or [(b"transfer-encoding", b"chunked")]
    return {"type": "http", "method": "POST", "headers": headers}


@pytest.mark.parametrize(
    "lengths",
    [(b"11",), (b"999999999999999999999",), (b"9" * 5000,), (b"5", b"11"), (b"000011",)],
    ids=["one too many", "many", "a number of 5000 digits", "the second header", "leading zeros"],
)
async def test_an_announced_body_that_is_too_large_is_refused_before_anything_is_read(lengths: tuple[bytes]) -> None:
    app = Reader()

    with pytest.raises(ContentTooLarge):
        await BodyLimitMiddleware(app, max_body_bytes=LIMIT)(a_scope(*lengths), nothing_to_receive, nothing_to_send)

    assert not app.was_called


@pytest.mark.parametrize("length", [b"", b"ten", b"-1", b"+5", b"5, 5", b" 5", b"0x5", b"1.5", b"\xb2", b"5\x00"])
async def test_a_length_that_is_no_number_is_a_bad_request(length: bytes) -> None:
    app = Reader()

    with pytest.raises(BadRequest) as refusal:
        await BodyLimitMiddleware(app, max_body_bytes=LIMIT)(a_scope(length), nothing_to_receive, nothing_to_send)

    assert refusal.value.message == "Content-Length is not a number"
    assert not app.was_called


@pytest.mark.parametrize(
    "chunks",
    [
        (b"",),
        (b"0123456789",),
        (b"01234", b"56789"),
        (b"0123456789", b""),
        tuple(bytes([digit]) for digit in b"0123456789"),
    ],
)
@pytest.mark.parametrize("is_announced", [True, False])
async def test_a_body_up_to_the_limit_arrives_whole(chunks: tuple[bytes, ...], is_announced: bool) -> None:
    app = Reader()
    body = b"".join(chunks)
    scope = a_scope(b"%d" % len(body)) if is_announced else a_scope()

    await BodyLimitMiddleware(app, max_body_bytes=LIMIT)(scope, receiving(*chunks), nothing_to_send)

    assert app.body == body


@pytest.mark.parametrize(
    ("chunks", "seen"),
    [
        ((b"0123456789X",), b""),
        ((b"0123456789", b"X"), b"0123456789"),
        ((b"01234", b"56789X", b"never read"), b"01234"),
    ],
)
async def test_a_stream_is_refused_at_the_first_byte_too_many(chunks: tuple[bytes, ...], seen: bytes) -> None:
    app = Reader()

    with pytest.raises(ContentTooLarge):
        await BodyLimitMiddleware(app, max_body_bytes=LIMIT)(a_scope(), receiving(*chunks), nothing_to_send)

    assert app.body == seen


async def test_a_body_larger_than_announced_is_refused_all_the_same() -> None:
    with pytest.raises(ContentTooLarge):
        await BodyLimitMiddleware(Reader(), max_body_bytes=LIMIT)(
            a_scope(b"5"), receiving(b"0123456789X"), nothing_to_send
        )


async def test_each_request_has_the_whole_limit_to_itself() -> None:
    app = Reader()
    middleware = BodyLimitMiddleware(app, max_body_bytes=LIMIT)

    for _ in range(3):
        await middleware(a_scope(), receiving(b"0123456789"), nothing_to_send)

    assert app.body == b"0123456789" * 3


async def test_where_nothing_follows_the_head_nothing_is_counted() -> None:
    seen: list[Receive] = []

    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        seen.append(receive)

    scope = {"type": "http", "method": "GET", "headers": [(b"host", b"gateway")]}
    await BodyLimitMiddleware(app, max_body_bytes=LIMIT)(scope, nothing_to_receive, nothing_to_send)

    assert seen == [nothing_to_receive]


async def test_what_is_no_request_passes_untouched() -> None:
    seen: list[tuple[Scope, Receive]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope, receive))

    scope = {"type": "lifespan"}
    await BodyLimitMiddleware(app, max_body_bytes=LIMIT)(scope, nothing_to_receive, nothing_to_send)

    assert seen == [(scope, nothing_to_receive)]
