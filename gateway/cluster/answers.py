"""Check what Valkey answers, its shape and its range: on an odd answer nothing may be decided."""

from collections.abc import Sequence
from typing import Any

import msgspec

MILLIONTHS = 1_000_000
FIGURES = 4
"""Whole numbers that are told of each bucket."""

Argument = str | int | float | bytes


class OddAnswer(Exception):
    """The server answered something that the script cannot have returned."""


class TokenTaken(msgspec.Struct, frozen=True, gc=False):
    """What a shared bucket says of one call. `tokens`: what is left in it, never less than there is."""

    allowed: bool
    remaining: int
    next_token_seconds: int
    tokens: float


def as_tokens_taken(answer: object, arguments: Sequence[Any]) -> list[TokenTaken]:
    """Return what each bucket says; of the three arguments of each, the first two are its policy. Raises OddAnswer."""
    # Not by `match`, which takes four times as long: this is done for each call.
    if isinstance(answer, list) and [type(each) for each in answer] == [int] * (len(arguments) // 3 * FIGURES):
        taken = []
        for number, begin in enumerate(range(0, len(answer), FIGURES)):
            allowed, remaining, seconds, millionths = answer[begin : begin + FIGURES]
            requests, per_seconds = arguments[number * 3], arguments[number * 3 + 1]
            if not (
                0 <= allowed <= 1
                and 0 <= remaining <= requests
                and 1 - allowed <= seconds <= per_seconds
                and 0 <= millionths <= requests * MILLIONTHS
            ):
                break
            taken.append(TokenTaken(allowed == 1, remaining, seconds, millionths / MILLIONTHS))
        else:
            return taken
    raise OddAnswer(_told(answer))


def as_yes_or_no(answer: object, _arguments: Sequence[Argument]) -> bool:
    """Return what 1 or 0 says. Raises OddAnswer."""
    match answer:
        case int(number) if number in {0, 1}:
            return number == 1
    raise OddAnswer(_told(answer))


def as_written(answer: object, arguments: Sequence[Argument]) -> None:
    """Accept the text that was to be written. Raises OddAnswer."""
    if answer != str(arguments[0]).encode():
        raise OddAnswer(_told(answer))


def _told(answer: object) -> str:
    """Return what may be told of an answer: its kind. Its content may be anything."""
    return f"odd answer of a script: {type(answer).__name__}"
