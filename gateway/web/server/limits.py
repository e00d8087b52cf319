"""How long, how large and how many: what one socket connection may ask of us."""

from dataclasses import dataclass
from functools import cached_property

from gateway.web.server.request_head import MAX_HEADER_BYTES, MAX_TARGET_BYTES

PIECE_BYTES = 16 * 1024
"""Parsed at once: between two pieces the limits are looked at, however much one read brought."""
MAX_UNFINISHED_HEAD_BYTES = MAX_HEADER_BYTES + MAX_TARGET_BYTES + PIECE_BYTES
"""The parser hands out a header only when it is whole, so a head without an end is bounded by what came in."""
MAX_MESSAGE_BYTES = 1024 * 1024
"""Head, body and framing. 64 KiB of body in chunks of one byte are 400 KiB; endless trailers have no other bound."""


@dataclass(frozen=True)
class ConnectionLimits:
    """Times in seconds and numbers that each socket connection keeps to."""

    receive_seconds: float = 10.0
    """From the opening of a socket connection, then from a request's first byte, to the end of its body."""
    unread_seconds: float = 25.0
    """Without the client reading anything of an answer. With what it takes to notice, half a minute."""
    unread_bytes: int = 16 * 1024
    """Of an answer, beyond what the kernel takes: with more, the next is not begun, for each takes memory."""
    linger_seconds: float = 2.0
    """After the last answer, for the client to read it: a close on unread bytes would destroy it (RFC 9112 §9.6)."""
    pause_seconds: float = 0.01
    """Before a next probe, however many there are: whoever asks sooner is held back as one who is shed."""
    pipelined: int = 16
    connections: int = 10_000

    @cached_property
    def crowd(self) -> int:
        """With more socket connections than this, those of unauthenticated clients are closed after each answer."""
        return self.connections * 4 // 5
