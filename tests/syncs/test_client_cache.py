"""What is kept for each client, up to a size of its own."""

from gateway.syncs.client_cache import ClientCache
from tests.support import HandClock

ACME, GLOBEX = 1, 2


def test_a_client_keeps_so_much_and_takes_no_other_s_room(clock: HandClock) -> None:
    cache: ClientCache[str, str] = ClientCache(clock, seconds=60, most=10, size_of=len)
    cache.put(GLOBEX, "its own", "six ch")
    for key, value in (("old", "four"), ("newer", "four"), ("newest", "four"), ("huge", "eleven char")):
        cache.put(ACME, key, value)

    assert [cache.get(ACME, key) for key in ("old", "newer", "newest", "huge")] == [None, "four", "four", None]
    assert cache.get(GLOBEX, "its own") == "six ch"
    clock.advance(61)
    assert cache.get(ACME, "newest") is None
