"""What stands in no request a test sends over a socket: the head's rules as a table, and refusals as bytes."""

import httptools
import pytest

from gateway.errors import ApiError, BadRequest, HeadersTooLarge, MethodNotImplemented, Overloaded, UriTooLong
from gateway.web.responses import raw_error_answer
from gateway.web.server.request_head import (
    Headers,
    check_head,
    check_no_body,
    check_size,
    parser_refusal,
    refused_target,
)

HOST = (b"host", b"gateway")


@pytest.mark.parametrize(
    "host", [b"a", b"a:1", b"A-b.example", b"a_b", b"127.0.0.1:65535", b"[::1]", b"[::ffff:1.2.3.4]:80", b"%41"]
)
def test_hosts_in_use_are_taken(host: bytes) -> None:
    check_head("1.1", b"/", [(b"host", host)])


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b":80",
        b"a:",
        b"a:b",
        b"a:123456",
        b"a b",
        b"a,b",
        b"a/b",
        b"a@b",
        b"[::1",
        b"::1",
        b"[a]x",
        b"\xff",
        b"a\n",
    ],
)
def test_other_hosts_are_refused(host: bytes) -> None:
    with pytest.raises(BadRequest, match="Host is malformed"):
        check_head("1.1", b"/", [(b"host", host)])


@pytest.mark.parametrize(
    ("version", "target", "headers", "message"),
    [
        ("1.1", b"/", [], "Host is missing"),
        ("1.1", b"/", [HOST, HOST], "Host is given more than once"),
        ("1.0", b"/", [HOST, HOST], "Host is given more than once"),
        ("0.9", b"/", [], "HTTP version is not supported"),
        ("2.0", b"/", [HOST], "HTTP version is not supported"),
        ("1.1", b"/", [HOST, (b"transfer-encoding", b"gzip")], "Transfer-Encoding is not supported"),
        ("1.1", b"/", [HOST, (b"transfer-encoding", b"chunked, chunked")], "Transfer-Encoding is not supported"),
        ("1.0", b"/", [HOST, (b"transfer-encoding", b"chunked")], "Transfer-Encoding is not supported"),
        (
            "1.1",
            b"/",
            [HOST, (b"content-length", b"1"), (b"transfer-encoding", b"chunked")],
            "The length of the request is given more than once",
        ),
        ("1.1", b"*", [HOST], "Request URL is malformed"),
        ("1.1", b"", [HOST], "Request URL is malformed"),
        ("1.1", b"/#", [HOST], "Request URL is malformed"),
        ("1.1", b"http://gateway", [HOST], "Request URL is malformed"),
        ("1.1", b"http://gateway:80/", [HOST], "Request URL is malformed"),
        ("1.1", b"gateway:80", [HOST], "Request URL is malformed"),
    ],
)
def test_heads_that_are_refused(version: str, target: bytes, headers: Headers, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        check_head(version, target, headers)


@pytest.mark.parametrize("target", [b"/", b"//", b"/a?b=c", b"HTTP://GATEWAY/a", b"https://gateway/?q"])
def test_targets_that_are_taken(target: bytes) -> None:
    check_head("1.1", target, [HOST])


@pytest.mark.parametrize(
    ("data", "target"),
    [
        (b"BREW /a?b HTTP/1.1\r\n", b"/a?b"),
        (b"get http://gateway/a HTTP/1.1\r\n", b"http://gateway/a"),
        (b"x\r\n\r\nBREW /a", b"/a"),
        (b"BREW", b""),
        (b"G@T /a HTTP/1.1\r\n", b""),
        (b"", b""),
    ],
)
def test_a_method_that_is_none_still_has_a_target(data: bytes, target: bytes) -> None:
    assert refused_target(data) == target


def test_sizes_count_target_and_fields_apart() -> None:
    check_size(b"a" * 8192, [(b"a", b"b" * (16384 - 5))])
    with pytest.raises(UriTooLong):
        check_size(b"a" * 8193, [])
    with pytest.raises(HeadersTooLarge):
        check_size(b"", [(b"a", b"b" * (16384 - 4))])


def test_an_upgrade_brings_no_body() -> None:
    check_no_body([HOST])
    with pytest.raises(BadRequest):
        check_no_body([(b"content-length", b"0")])


@pytest.mark.parametrize("error", [BadRequest("Host is missing"), Overloaded()])
def test_a_refusal_is_a_whole_answer_that_ends_the_connection(error: ApiError) -> None:
    head, _, body = raw_error_answer(error, [(b"date", b"today")]).partition(b"\r\n\r\n")
    lines = head.decode("ascii").split("\r\n")

    assert lines[0].startswith(f"HTTP/1.1 {error.status} ")
    assert body == b'{"error":"%b"}' % error.message.encode()
    assert set(lines[1:]) == {
        "date: today",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "cache-control: private, no-store",
        "connection: close",
        *(f"{name.lower()}: {value}" for name, value in error.headers.items()),
    }


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"BREW / HTTP/1.1\r\n", MethodNotImplemented),
        (b"BR", MethodNotImplemented),
        (b"EW /", MethodNotImplemented),
        (b"M-SEARCH~ * HTTP/1.1\r\n", MethodNotImplemented),
        (b"GET / HTTP/1.1\r\n\r\nBREW / HTTP/1.1\r\n", MethodNotImplemented),
        (b"GET / HTTP/1.1\r\n\r\n\x00", BadRequest),
        (b"\x16\x03\x01", BadRequest),
        (b"SSH-2.0-OpenSSH_9.2\r\n", BadRequest),
        (b'{"a": 1}', BadRequest),
    ],
)
def test_what_the_parser_takes_for_no_method_is_not_implemented_if_it_is_a_token(
    data: bytes, error: type[ApiError]
) -> None:
    assert type(parser_refusal(httptools.HttpParserInvalidMethodError("Invalid method encountered"), data)) is error
