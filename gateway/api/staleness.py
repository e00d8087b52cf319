"""Says when an answer holds the last known figures because Airbyte did not give newer ones."""

from collections.abc import Mapping

_FRESH: Mapping[str, str] = {}
_STALE: Mapping[str, str] = {"Warning": '110 - "Response is Stale"'}


def staleness_headers(*, is_fresh: bool) -> Mapping[str, str]:
    return _FRESH if is_fresh else _STALE
