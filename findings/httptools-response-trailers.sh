#!/usr/bin/env bash
# httptools 0.9.0, HttpResponseParser: the trailer fields of a chunked answer (RFC 9112 section 7.1.2) arrive through the
# same callback as header fields, on_header, after on_headers_complete and the body, with nothing that tells them apart.
# A program that collects fields until on_message_complete takes a trailer for a header: here Content-Type has two values,
# the second one from behind the body. RFC 9110 section 6.5.1 forbids merging them unless the field's definition allows it.
# h11 0.16.0 keeps them apart: they stand in EndOfMessage.headers.
# Seen on 30 November 2026 with Python 3.11:
#   httptools: header Content-Type: text/plain, headers complete, body hi, header Content-Type: text/html, message complete
#   h11: Response [content-type: text/plain, ...], EndOfMessage [content-type: text/html]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check httptools==0.9.0 h11==0.16.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import h11
import httptools

ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Type\r\n\r\n"
    b"2\r\nhi\r\n0\r\nContent-Type: text/html\r\n\r\n"
)
seen = []


class Events:
    def on_header(self, name, value):
        if name == b"Content-Type":
            seen.append(("header", value))

    def on_headers_complete(self):
        seen.append(("headers complete", b""))

    def on_message_complete(self):
        seen.append(("message complete", b""))


httptools.HttpResponseParser(Events()).feed_data(ANSWER)
print("httptools:", seen)

client = h11.Connection(h11.CLIENT)
client.send(h11.Request(method="GET", target="/", headers=[("Host", "example")]))
client.send(h11.EndOfMessage())
client.receive_data(ANSWER)
events = [client.next_event() for _ in range(3)]
in_head = [value for name, value in events[0].headers if name == b"content-type"]
at_end = [value for name, value in events[2].headers if name == b"content-type"]
print("h11:", in_head, at_end)

expected = [
    ("header", b"text/plain"),
    ("headers complete", b""),
    ("header", b"text/html"),
    ("message complete", b""),
]
sys.exit(0 if seen == expected and (in_head, at_end) == ([b"text/plain"], [b"text/html"]) else 1)
PYTHON
