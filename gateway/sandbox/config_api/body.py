"""Read the JSON body of a Config API call."""

from collections.abc import Collection, Mapping
from typing import TypeVar

import orjson
from starlette.requests import Request

from gateway.sandbox.refusals import Opaque
from gateway.sandbox.wire import ISO_OFFSET_DATE_TIME, parse_timestamp, parse_uuid

Choice = TypeVar("Choice")


async def read_body(request: Request) -> dict[str, object]:
    """Return the body's fields. Airbyte ignores the content type here."""
    try:
        content = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise Opaque(422) from error
    if not isinstance(content, dict):
        raise Opaque(422)
    return content


def read_integer(fields: Mapping[str, object], name: str, default: int | None = None) -> int:
    """Return a number; text of digits is one to Jackson too. Without a default it must be there."""
    value = fields.get(name)
    if value is None and default is not None:
        return default
    if value is None:
        raise Opaque(400)
    try:
        return int(str(value))
    except ValueError as error:
        raise Opaque(422) from error


def read_id(fields: Mapping[str, object], name: str) -> str:
    """Return a UUID that must be there."""
    value = fields.get(name)
    if value is None:
        raise Opaque(400)
    identifier = parse_uuid(value) if isinstance(value, str) else None
    if identifier is None:
        raise Opaque(422)
    return identifier


def read_list(fields: Mapping[str, object], name: str) -> list[object]:
    """Return a list, empty when it is not there."""
    value = fields.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Opaque(422)
    return value


def read_choices(fields: Mapping[str, object], name: str, choices: Mapping[str, Choice]) -> frozenset[Choice]:
    """Return the named values, in any case. Raises for an unknown one, as Jackson's enums do."""
    texts = [str(text).lower() for text in read_list(fields, name)]
    _known(texts, choices)
    return frozenset(choices[text] for text in texts)


def read_choice(fields: Mapping[str, object], name: str, choices: Collection[str]) -> str | None:
    """Return a field that may have one of a few values; None if it is absent. Raises Refusal."""
    value = fields.get(name)
    if value is None:
        return None
    _known([str(value)], choices)
    return str(value)


def read_time(fields: Mapping[str, object], name: str) -> float | None:
    """Return an instant in epoch seconds. Jackson reads ISO 8601 with an offset, and nothing else."""
    value = fields.get(name)
    if value is None:
        return None
    if not ISO_OFFSET_DATE_TIME.fullmatch(str(value)):
        raise Opaque(422)
    try:
        return parse_timestamp(str(value))
    except ValueError as error:
        raise Opaque(422) from error


def _known(texts: Collection[str], choices: Collection[str]) -> None:
    if not set(texts) <= set(choices):
        raise Opaque(422)
