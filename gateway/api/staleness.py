"""The `Warning` header of answers with the last known figures, sent when Airbyte gave no newer ones."""

from collections.abc import Callable, Mapping

_FRESH: Mapping[str, str] = {}
_STALE: Mapping[str, str] = {"Warning": '110 - "Response is Stale"'}


def staleness_headers(*, is_fresh: bool, count_stale: Callable[[], None]) -> Mapping[str, str]:
    """Return the headers to add: `Warning: 110`, which is counted, unless the figures are fresh."""
    if is_fresh:
        return _FRESH
    count_stale()
    return _STALE
