"""The `Warning` header of answers with the last known figures, sent when Airbyte gave no newer ones."""

from collections.abc import Mapping

_FRESH: Mapping[str, str] = {}
_STALE: Mapping[str, str] = {"Warning": '110 - "Response is Stale"'}


def staleness_headers(*, is_fresh: bool) -> Mapping[str, str]:
    """Return the headers to add: `Warning: 110` unless the figures are fresh."""
    return _FRESH if is_fresh else _STALE
