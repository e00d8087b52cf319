"""Cursors that tell nothing: what is sealed comes back, for its client alone, and nothing else is taken."""

import base64
import re
import secrets
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest, PageNotFound
from gateway.syncs.cursor import LARGEST_ID, Position
from gateway.syncs.cursor_seal import KEY_BYTES, SEALED_PATTERN, CursorSeal

POSITION = Position(1_775_012_400, 4711)
SEAL = CursorSeal(bytes(KEY_BYTES), secrets.token_bytes)


@given(st.integers(0, 2**33), st.integers(0, LARGEST_ID), st.integers(1, 2**40))
def test_a_position_comes_back_for_its_client_and_any_gateway_with_the_key(
    second: int, job_id: int, client_id: int
) -> None:
    text = SEAL.seal(client_id, Position(second, job_id)).encode()

    assert re.fullmatch(SEALED_PATTERN, text)
    assert CursorSeal(bytes(KEY_BYTES), secrets.token_bytes).open(client_id, text) == Position(second, job_id)


def test_one_position_never_looks_the_same_and_two_have_nothing_in_common() -> None:
    numbers = count(1)
    seal = CursorSeal(bytes(KEY_BYTES), lambda size: next(numbers).to_bytes(size))
    sealed = [base64.urlsafe_b64decode(seal.seal(1, each).encode() + "=") for each in (POSITION, POSITION)]

    same = [place for place, (one, other) in enumerate(zip(*sealed, strict=True)) if one == other]

    assert len([place for place in same if place >= 12]) < 4, "only by chance"


def test_any_change_and_any_other_text_is_refused_with_what_is_right() -> None:
    text = SEAL.seal(1, POSITION).encode()
    changed = [text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :] for at in range(len(text) - 1)]

    for other in changed:
        with pytest.raises(PageNotFound):
            SEAL.open(1, other)
    for other in (
        "",
        "x",
        "20.4711",
        "1775012400-4711",
        text[:-1],
        text + "A",
        text + "=",
        "é",
        "1" * 100_000,
    ):
        with pytest.raises(BadRequest, match="Invalid cursor: pass the one from the Link header unchanged"):
            SEAL.open(1, other)


def test_another_client_s_cursor_or_another_database_s_is_refused() -> None:
    text = SEAL.seal(1, POSITION).encode()

    for seal, client_id in ((SEAL, 2), (CursorSeal(b"1" * KEY_BYTES, secrets.token_bytes), 1)):
        with pytest.raises(PageNotFound):
            seal.open(client_id, text)


@given(st.binary(max_size=300))
def test_bytes_of_any_length_come_back_for_their_client_alone(content: bytes) -> None:
    text = SEAL.seal_bytes(1, content)

    assert SEAL.open_bytes(1, text) == content
    for client_id, other in ((2, text), (1, text[:-2]), (1, "AA" + text)):
        with pytest.raises(BadRequest):
            SEAL.open_bytes(client_id, other)
