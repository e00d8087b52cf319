"""How long, how large and how many: what one socket connection may ask of us."""

from dataclasses import dataclass
from functools import cached_property

from gateway.web.server.request_head import MAX_HEADER_BYTES, MAX_TARGET_BYTES
from gateway.web.timings import ConnectionTimings

PIECE_BYTES = 16 * 1024
"""Parsed at once: between two pieces the limits are looked at, however much one read brought."""
MAX_UNFINISHED_HEAD_BYTES = MAX_HEADER_BYTES + MAX_TARGET_BYTES + PIECE_BYTES
"""The parser hands out a header only when it is whole, so a head without an end is bounded by what came in."""
MAX_MESSAGE_BYTES = 1024 * 1024
"""Head, body and framing. 64 KiB of body in chunks of one byte are 400 KiB; endless trailers have no other bound."""


@dataclass(frozen=True)
class ConnectionLimits(ConnectionTimings):
    """Numbers that each socket connection keeps to, beside its timings."""

    unread_bytes: int = 16 * 1024
    """Of an answer, beyond what the kernel takes: with more, the next is not begun, for each takes memory."""
    pipelined: int = 16
    connections: int = 10_000

    @cached_property
    def crowd(self) -> int:
        """With more socket connections than this, those of unauthenticated clients are closed after each answer."""
        return self.connections * 4 // 5
