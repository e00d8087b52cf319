"""API keys: their shape, their checksum and what is kept of them."""

import hashlib
import re
from itertools import cycle

from hypothesis import given
from hypothesis import strategies as st

from gateway.auth import keys
from gateway.models import Client, Principal
from gateway.times import parse_time

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
KEY = "smrt_abcdefghijklmnopqrstuvwxyzABCD1RmoFN"
CLIENT = Client(id=1, slug="acme", name="Acme", plan="free", created_at="2026-04-01T03:00:00.000Z")

bodies = st.text(alphabet=BASE62, min_size=30, max_size=30).map(lambda secret: f"smrt_{secret}")


def crc32_bit_by_bit(content: bytes) -> int:
    """CRC-32 (ISO-HDLC) as its polynomial defines it, without zlib."""
    remainder = 0xFFFFFFFF
    for byte in content:
        remainder ^= byte
        for _ in range(8):
            remainder = (remainder >> 1) ^ (0xEDB88320 if remainder & 1 else 0)
    return remainder ^ 0xFFFFFFFF


def from_base62(text: str) -> int:
    number = 0
    for character in text:
        number = number * 62 + BASE62.index(character)
    return number


def test_a_key_is_the_prefix_thirty_random_characters_and_six_of_checksum() -> None:
    choices = cycle("abcdefghijklmnopqrstuvwxyzABCD")

    assert keys.mint(lambda _: next(choices)) == KEY


def test_a_key_is_drawn_from_the_62_letters_and_digits() -> None:
    offered: list[str] = []

    def first(alphabet: str) -> str:
        offered.append(alphabet)
        return alphabet[0]

    assert keys.mint(first) == "smrt_0000000000000000000000000000003cjI35"
    assert offered == [BASE62] * 30


def test_an_identifier_is_its_prefix_and_sixteen_random_characters() -> None:
    choices = cycle("aB3")

    assert keys.mint_id("conn", lambda _: next(choices)) == "conn_aB3aB3aB3aB3aB3a"


@given(bodies)
def test_the_checksum_is_the_crc32_of_all_before_it_in_base62(body: str) -> None:
    checksum = keys.checksum(body)

    assert re.fullmatch("[0-9A-Za-z]{6}", checksum)
    assert from_base62(checksum) == crc32_bit_by_bit(body.encode())


def test_a_small_checksum_is_padded_with_zeros_in_front() -> None:
    assert keys.checksum("") == "000000"


@given(bodies)
def test_every_minted_key_is_well_formed_and_matches_the_published_pattern(body: str) -> None:
    characters = iter(body.removeprefix("smrt_"))

    key = keys.mint(lambda _: next(characters))

    assert keys.is_well_formed(key)
    assert re.fullmatch(keys.PATTERN, key)
    assert len(key) == 41


def test_a_key_with_one_wrong_character_is_refused_by_its_checksum() -> None:
    typos = {KEY[:position] + character + KEY[position + 1 :] for position in range(5, 41) for character in BASE62} - {
        KEY
    }

    assert len(typos) == 36 * 61
    assert [typo for typo in typos if keys.is_well_formed(typo)] == []


def test_a_key_with_two_neighbours_swapped_is_refused_by_its_checksum() -> None:
    swapped = {
        KEY[:position] + KEY[position + 1] + KEY[position] + KEY[position + 2 :] for position in range(5, 40)
    } - {KEY}

    assert len(swapped) == 35
    assert [key for key in swapped if keys.is_well_formed(key)] == []


def test_what_has_not_the_shape_of_a_key_is_refused() -> None:
    shapes = [
        "",
        "smrt_",
        KEY[:-1],
        KEY + "0",
        " " + KEY,
        KEY + "\n",
        KEY.replace("smrt_", "SMRT_"),
        KEY.replace("smrt_", "smrt-"),
        KEY.replace("smrt_", ""),
        KEY.replace("a", "ä"),
        KEY.replace("1", "١"),
        KEY.replace("N", "\x00"),
        "smrt_" + "0" * 10_000,
    ]

    assert [shape for shape in shapes if keys.is_well_formed(shape)] == []


def test_scanners_find_a_key_inside_other_text() -> None:
    assert re.findall(keys.PATTERN, f'curl -H "Authorization: Bearer {KEY}" …') == [KEY]


def test_what_is_stored_is_the_sha_256_of_the_whole_key() -> None:
    assert keys.digest(KEY) == hashlib.sha256(KEY.encode()).digest()
    assert keys.digest(KEY).hex() == "406065115f17b103b83b551d41f407509221356fc5b65555f091cd8309635d5a"


def test_what_is_shown_of_a_key_is_its_prefix_and_four_characters() -> None:
    assert keys.display_start(KEY) == "smrt_abcd…"


def test_a_key_is_expired_from_the_moment_it_names() -> None:
    moments = {
        None: False,
        "2026-04-01T03:00:00.001Z": False,
        "2026-04-01T03:00:00.000Z": True,
        "2026-04-01T02:59:59.999Z": True,
    }
    now = parse_time("2026-04-01T03:00:00.000Z")

    assert {moment: keys.is_expired(principal_until(moment), now) for moment in moments} == moments


def principal_until(expires_at: str | None) -> Principal:
    ends = None if expires_at is None else parse_time(expires_at)
    return Principal(client=CLIENT, key_id="key_1", scope="full", expires_at=ends)
