"""Where a page of jobs starts that is merged from several of Airbyte's lists, as bytes that a seal hides.

Those lists hold other clients' jobs too: an offset into one of them would tell how many.
"""

import struct
from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from gateway.airbyte import JobList

_CHECK_BYTES = 8
_PAIR = struct.Struct(">II")


class Offset(msgspec.Struct, frozen=True):
    """How far one of Airbyte's lists is used up: `page` rows, and then so many `taken` that are the client's."""

    page: int = 0
    taken: int = 0


class Place(msgspec.Struct, frozen=True):
    """A page's start: the client's `shown` jobs come before it, of which `to_skip` are still ahead in the lists."""

    shown: int
    to_skip: int
    offsets: Sequence[Offset]

    def encode(self, lists: Sequence[JobList]) -> bytes:
        """Return the place as bytes that are good for these lists alone."""
        pairs = [(self.shown, self.to_skip), *((each.page, each.taken) for each in self.offsets)]
        return _check(lists) + b"".join(_PAIR.pack(*pair) for pair in pairs)


def first_place(shown: int, lists: Sequence[JobList]) -> Place:
    """Return where the page starts of which nothing but its offset is known: the lists are read from their start."""
    return Place(shown, shown, [Offset()] * len(lists))


def decode_place(content: bytes, shown: int, lists: Sequence[JobList]) -> Place:
    """Return the place that was encoded; the first one if that was for another offset, or other lists."""
    pairs = [*_PAIR.iter_unpack(content[_CHECK_BYTES : len(content) - len(content) % _PAIR.size])]
    if content[:_CHECK_BYTES] != _check(lists) or len(pairs) != 1 + len(lists) or pairs[0][0] != shown:
        return first_place(shown, lists)
    return Place(shown, pairs[0][1], [Offset(page, taken) for page, taken in pairs[1:]])


def _check(lists: Sequence[JobList]) -> bytes:
    return blake2b(msgspec.json.encode(lists), digest_size=_CHECK_BYTES).digest()
