"""Requests nobody should send: made from good ones, and what may be said to them. Nothing here opens a connection."""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

Mutation = Callable[[Random, bytes], bytes]

PARSER_STATUSES = frozenset({400, 408, 413, 414, 431, 501})
ROUTER_STATUSES = frozenset({404, 405})
REDIRECT = (303, "./docs/getting-started")
"""The one answer without a body: of `/`, which a mutated target may come to."""
MARK = re.compile(rb"\bfuzz-[0-9]+-[0-9]+\b")
"""The request id that each request brings along and its answer repeats."""
METHODS = (b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"HEAD", b"TRACE", b"CONNECT", b"QUERY", b"get")
ODD_TARGETS = (
    *(b"*", b"//", b"/..", b"/%2e%2e/", b"/%00", b"/%", b"/%zz", b"/?", b"/#x", b"\xff", b"/a b", b"?limit=1"),
    *(b"http://gateway/api/v1/status", b"http://other/api/v1/status", b"gateway:80", b"/api/v1/connections/%2F/jobs"),
    *(b"/healthz", b"/readyz", b"/openapi.json", b"/api/v1/connections/%0d%0aX:1/jobs", b"/api/v1/%73tatus"),
)
ODD_HEADERS = (
    *(b"Content-Length: 4", b"Content-Length: -1", b"Content-Length: 0x4", b"Content-Length: 99999999999999999999"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", b"Transfer-Encoding: gzip, chunked", b"Host: x"),
    *(b"Expect: 100-continue", b"Expect: x", b"Upgrade: h2c", b"Connection: Upgrade", b"Connection: close", b"Host:"),
    *(b"Authorization: Bearer", b"Authorization: Basic eA==", b"Content-Type: \xff", b" folded: x", b": x", b"x"),
    *(b"X-Request-Id: " + b"a" * 70, b"Cookie: a=b", b"X-Forwarded-For: 1.2.3.4", b"Forwarded: for=x", b"Range: x"),
)
ODD_BYTES = (b"\x00", b"\r", b"\n", b"\r\n", b"\t", b" ", b"\x7f", b"\x80", b"\xff", b":", b"%", b"\xe2\x80\xae")


def change_method(chance: Random, request: bytes) -> bytes:
    return chance.choice(METHODS) + b" " + request.partition(b" ")[2]


def change_target(chance: Random, request: bytes) -> bytes:
    method, _, rest = request.partition(b" ")
    return method + b" " + chance.choice(ODD_TARGETS) + b" " + rest.partition(b" ")[2]


def change_version(chance: Random, request: bytes) -> bytes:
    versions = (b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.2", b"http/1.1", b"HTTP/1.1 ", b"HTTP/11", b"")
    return request.replace(b"HTTP/1.1", chance.choice(versions), 1)


def encode_target(chance: Random, request: bytes) -> bytes:
    """One byte of the target as a percent form."""
    end = request.find(b" HTTP/")
    place = chance.randrange(end) if end > 0 else 0
    return request[:place] + b"%%%02x" % request[place] + request[place + 1 :] if request else request


def add_header(chance: Random, request: bytes) -> bytes:
    first, separator, rest = request.partition(b"\r\n")
    return first + separator + chance.choice(ODD_HEADERS) + b"\r\n" + rest


def repeat_header(chance: Random, request: bytes) -> bytes:
    lines = request.split(b"\r\n")
    line = chance.randrange(len(lines))
    return b"\r\n".join([*lines[:line], lines[line], *lines[line:]])


def drop_line(chance: Random, request: bytes) -> bytes:
    lines = request.split(b"\r\n")
    del lines[chance.randrange(len(lines))]
    return b"\r\n".join(lines)


def insert_bytes(chance: Random, request: bytes) -> bytes:
    place = chance.randrange(len(request) + 1)
    return request[:place] + chance.choice(ODD_BYTES) + request[place:]


def flip_bit(chance: Random, request: bytes) -> bytes:
    if not request:
        return request
    place = chance.randrange(len(request))
    return request[:place] + bytes([request[place] ^ 1 << chance.randrange(8)]) + request[place + 1 :]


def truncate(chance: Random, request: bytes) -> bytes:
    return request[: chance.randrange(len(request) + 1)]


def cut_out(chance: Random, request: bytes) -> bytes:
    start, end = sorted(chance.randrange(len(request) + 1) for _ in range(2))
    return request[:start] + request[end:]


def repeat_piece(chance: Random, request: bytes) -> bytes:
    start, end = sorted(chance.randrange(len(request) + 1) for _ in range(2))
    return request[:end] + request[start:end] + request[end:]


def blow_up(chance: Random, request: bytes) -> bytes:
    """Something a thousand times, in the target, in a header or anywhere."""
    place = chance.choice([request.find(b" HTTP/"), request.find(b"\r\n"), chance.randrange(len(request) + 1)])
    filler = chance.choice([b"a", b"%41", b"&limit=1", b"\r\nX: y", b"/.."]) * chance.choice([100, 1_000, 5_000])
    return request[: max(place, 0)] + filler + request[max(place, 0) :]


def bare_line_feeds(_chance: Random, request: bytes) -> bytes:
    return request.replace(b"\r\n", b"\n")


def noise(chance: Random, _request: bytes) -> bytes:
    return chance.randbytes(chance.randrange(1, 200))


MUTATIONS: tuple[Mutation, ...] = (
    *(change_method, change_target, change_version, encode_target, add_header, repeat_header, drop_line),
    *(insert_bytes, flip_bit, truncate, cut_out, repeat_piece, blow_up, bare_line_feeds, noise),
)


@dataclass(frozen=True)
class Goods:
    """What good requests are made of: keys and ids of connections, good and bad."""

    keys: tuple[str, ...]
    ids: tuple[str, ...]
    doomed: str
    """Another good key, for the call that ends the key it is made with."""


class Mutator:
    """Case number n of a seed is always the same."""

    def __init__(self, goods: Goods, seed: int) -> None:
        self._goods = goods
        self._seed = seed

    def case(self, number: int) -> bytes:
        """One to three requests in a row, most of them spoilt once or more."""
        chance = Random(f"{self._seed}/{number}")
        requests = [self._good(chance, f"fuzz-{number}-{place}") for place in range(chance.choice([1, 1, 1, 2, 3]))]
        return b"".join(self._spoilt(chance, request) for request in requests)

    def _good(self, chance: Random, mark: str) -> bytes:
        connection = chance.choice(self._goods.ids)
        call = chance.choice(
            ["status", "connections", f"connections/{connection}/jobs", f"connections/{connection}/sync"]
        )
        query = chance.choice(["", "", "?limit=2", "?limit=0", "?status=running", "?cursor=eA", "?limit=1&limit=2"])
        method = "POST" if call.endswith("sync") else "GET"
        body = chance.choice([b"", b"{}", b'{"a":1}', b"[", b"\xff"]) if method == "POST" else b""
        framing, framed = self._framed(chance, body)
        head = [
            f"{method} /api/v1/{call}{query} HTTP/1.1",
            "Host: gateway",
            f"Authorization: Bearer {chance.choice(self._goods.keys)}",
            f"X-Request-Id: {mark}",
            *framing,
        ]
        return "\r\n".join([*head, "", ""]).encode() + framed

    def _framed(self, chance: Random, body: bytes) -> tuple[list[str], bytes]:
        if not body and chance.random() < 0.7:
            return [], b""
        if chance.random() < 0.5:
            return [f"Content-Length: {len(body)}"], body
        chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        return ["Transfer-Encoding: chunked"], chunk + b"0\r\n\r\n"

    def _spoilt(self, chance: Random, request: bytes) -> bytes:
        for _ in range(chance.choice([0, 1, 1, 1, 2, 3])):
            request = chance.choice(MUTATIONS)(chance, request)
        return request


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


def replies_in(raw: bytes) -> tuple[list[Reply], bytes]:
    """The whole answers, in order, and what is left of a last one that was cut off. Raises ValueError."""
    replies: list[Reply] = []
    while b"\r\n\r\n" in raw:
        head, _, rest = raw.partition(b"\r\n\r\n")
        status_line, *lines = head.decode("ascii").split("\r\n")
        match = re.fullmatch(r"HTTP/1\.1 ([1-5][0-9]{2}) [A-Za-z -]+", status_line)
        if match is None:
            raise ValueError(f"no status line: {status_line!r}")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = int(headers.get("content-length", 0))
        # The answer to HEAD has the length and no body; no body of ours begins like an answer.
        if not rest or rest.startswith(b"HTTP/1.1 "):
            length = 0
        if len(rest) < length:
            return replies, raw
        if match[1] != "100":
            replies.append(Reply(int(match[1]), headers, rest[:length]))
        raw = rest[length:]
    return replies, raw


def shapes_of(document: Mapping[str, Any]) -> frozenset[tuple[str, ...]]:
    """The keys of each body that may come with 200."""
    schemas = document["components"]["schemas"]
    answers = ("Status", "ConnectionList", "JobList", "TriggeredSync")
    health = (("status",), ("status", "database", "upstream", "stopped_tasks", "failing_tasks"), tuple(document))
    return frozenset((*(tuple(schemas[name]["properties"]) for name in answers), *health))


def complaint(reply: Reply, statuses: frozenset[int], shapes: frozenset[tuple[str, ...]]) -> str:
    """What is wrong with an answer; empty if nothing is."""
    if "x-request-id" not in reply.headers:
        return f"{reply.status} without a request id"
    if (reply.status, reply.headers.get("location")) == REDIRECT:
        return ""
    if reply.status not in statuses or reply.status == 500:
        return f"status {reply.status}"
    if reply.headers.get("content-type") != "application/json":
        return f"{reply.status} is {reply.headers.get('content-type')}"
    return complaint_about_body(reply, shapes) if reply.body else ""


def complaint_about_body(reply: Reply, shapes: frozenset[tuple[str, ...]]) -> str:
    try:
        content = json.loads(reply.body)
    except ValueError:
        return f"no JSON: {reply.body[:200]!r}"
    if reply.status == 200:
        return "" if tuple(content) in shapes else f"undocumented body {reply.body[:200]!r}"
    is_error = list(content) == ["error"] and isinstance(content["error"], str)
    # A path that is cut short may be one of the compatible API's: /api/v1/connections/con, as a POST.
    is_problem = list(content) == ["status", "type", "title", "detail"] and content["status"] == reply.status
    return "" if is_error or is_problem else f"no error: {reply.body[:200]!r}"


def too_many(sent: bytes, replies: list[Reply]) -> str:
    """More answers than requests, or two for one; empty if there are none such.

    Whatever is answered has said HTTP/ and brought its own id; what the parser refuses comes last, and once.
    """
    if len(replies) > sent.count(b"HTTP/") + 1:
        return f"{len(replies)} answers to {sent.count(b'HTTP/')} requests"
    brought = Counter(MARK.findall(sent))
    for mark, count in Counter(reply.headers.get("x-request-id", "").encode() for reply in replies).items():
        if MARK.fullmatch(mark) and count > brought[mark]:
            return f"{count} answers to {mark.decode()}"
    return ""
