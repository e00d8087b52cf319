"""Airbyte's way of writing values: times, durations, identifiers, JSON."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import floor

import orjson
from starlette.responses import Response

ISO_OFFSET_DATE_TIME = re.compile(
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2}(?::\d{2})?)", re.IGNORECASE
)
RFC_1123 = re.compile(r"(?:\w{3}, )?\d{1,2} \w{3} \d{4} \d{2}:\d{2}(?::\d{2})? (?:GMT|[+-]\d{4})")
JAVA_UUID = re.compile(r"([0-9a-f]{1,8})-([0-9a-f]{1,4})-([0-9a-f]{1,4})-([0-9a-f]{1,4})-([0-9a-f]{1,12})")


def timestamp(at: float) -> str:
    """Write as Java's `OffsetDateTime.toString()`: never a fraction, and no seconds at all when they are zero."""
    moment = datetime.fromtimestamp(floor(at), UTC)
    return moment.strftime("%Y-%m-%dT%H:%MZ" if moment.second == 0 else "%Y-%m-%dT%H:%M:%SZ")


def duration(seconds: int) -> str:
    """Write as Java's `Duration.toString()`: hours are the largest unit, and each part carries the sign."""
    sign = -1 if seconds < 0 else 1
    hours, rest = divmod(abs(seconds), 3600)
    parts = ((hours, "H"), (rest // 60, "M"), (rest % 60, "S"))
    return "PT" + ("".join(f"{sign * amount}{unit}" for amount, unit in parts if amount) or "0S")


def parse_timestamp(text: str) -> float:
    """Read what Micronaut reads: ISO 8601 with an offset, else RFC 1123. Raises ValueError."""
    if ISO_OFFSET_DATE_TIME.fullmatch(text):
        return datetime.fromisoformat(text.upper()).timestamp()
    if RFC_1123.fullmatch(text):
        return parsedate_to_datetime(text).timestamp()
    raise ValueError(text)


def parse_uuid(text: str) -> str | None:
    """Read as Java's `UUID.fromString`, which is lenient: `1-1-1-1-1` is a UUID, short groups are padded."""
    match = JAVA_UUID.fullmatch(text.lower())
    if match is None:
        return None
    return "-".join(group.zfill(width) for group, width in zip(match.groups(), (8, 4, 4, 4, 12), strict=True))


def json_answer(body: object, *, status: int = 200) -> Response:
    """Return an answer with a body of JSON."""
    return Response(orjson.dumps(body), status_code=status, media_type="application/json")


def without_nulls(body: Mapping[str, object]) -> dict[str, object]:
    """Leave out what is null, as success bodies do and problem bodies do not."""
    return {key: value for key, value in body.items() if value is not None}
