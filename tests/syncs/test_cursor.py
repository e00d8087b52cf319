"""The cursor of job lists."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest, PageNotFound
from gateway.syncs.cursor import CURSOR_PATTERN, Cursor, decode_cursor, decode_position


def test_a_cursor_is_short_and_needs_no_escaping_in_a_url() -> None:
    assert Cursor(20, 4711).encode() == "20.4711"


@given(st.integers(0, 999_999_999), st.integers(0, 2**63 - 1))
def test_a_cursor_comes_back_as_it_went(offset: int, last_job_id: int) -> None:
    cursor = Cursor(offset, last_job_id)

    assert decode_cursor(cursor.encode()) == cursor
    assert re.fullmatch(CURSOR_PATTERN, cursor.encode())


NOT_OURS = [
    "",
    "x",
    "20",
    "MjAuNDcxMQ",
    "é",
    "20.",
    ".4711",
    "-1.4711",
    "1e3.4711",
    "20.4711 OR 1=1",
    "20.4711\n",
    "20.4711\0",
    "1234567890.1",
    "٣.٣",
    "1" * 100_000,
]


def refusal_of(text: str) -> str | None:
    """What is said of a text; None of a cursor."""
    try:
        decode_cursor(text)
    except BadRequest as refusal:
        return refusal.message
    return None


def test_a_cursor_that_is_not_ours_is_a_bad_request() -> None:
    refusal = "Invalid cursor: pass the one from the Link header unchanged"

    assert {text: refusal_of(text) for text in NOT_OURS} == dict.fromkeys(NOT_OURS, refusal)


@given(st.from_regex(CURSOR_PATTERN, fullmatch=True))
def test_every_text_of_the_pattern_is_a_cursor(text: str) -> None:
    cursor = decode_cursor(text)

    assert cursor.offset >= 0
    assert cursor.last_job_id >= 0


def test_a_cursor_of_another_kind_of_list_leads_to_no_page() -> None:
    for decode, other in ((decode_cursor, "1775012400-4711"), (decode_position, "20.4711")):
        with pytest.raises(PageNotFound):
            decode(other)
