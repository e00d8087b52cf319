"""The cursor of job lists."""

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.syncs.cursor import Cursor, decode_cursor


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def test_a_cursor_is_short_and_needs_no_escaping_in_a_url() -> None:
    assert Cursor(20, 4711).encode() == "MjAuNDcxMQ"


@given(st.integers(0, 999_999_999), st.integers(0, 2**63 - 1))
def test_a_cursor_comes_back_as_it_went(offset: int, last_job_id: int) -> None:
    cursor = Cursor(offset, last_job_id)

    assert decode_cursor(cursor.encode()) == cursor
    assert re.fullmatch("[A-Za-z0-9_-]{4,40}", cursor.encode())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "20",
        "MjAuNDcxMQ!",
        "Mj\nAuNDcxMQ",
        "MjAuNDcxMQ%00",
        "é",
        encoded(b"20"),
        encoded(b"20."),
        encoded(b".4711"),
        encoded(b"-1.4711"),
        encoded(b"1e3.4711"),
        encoded(b"20.4711 OR 1=1"),
        encoded(b"20.4711\n"),
        encoded(b"1234567890.1"),
        encoded("٣.٣".encode()),
        "A" * 100_000,
    ],
)
def test_a_cursor_that_is_not_ours_is_a_bad_request(text: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        decode_cursor(text)

    assert refusal.value.message == "Invalid cursor: pass the one from the Link header unchanged"


@given(st.text())
def test_any_text_is_a_cursor_or_a_bad_request(text: str) -> None:
    try:
        cursor = decode_cursor(text)
    except BadRequest:
        return
    assert cursor.offset >= 0
    assert cursor.last_job_id >= 0
