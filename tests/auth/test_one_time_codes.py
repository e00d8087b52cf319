"""Codes of apps and recovery codes, as pure functions."""

import secrets
from datetime import UTC, datetime
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from gateway.auth.one_time_codes import (
    is_time_code,
    matching_step,
    mint_recovery_codes,
    mint_totp_secret,
    plain_code,
    totp_address,
)

RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
"""`12345678901234567890` in base32."""


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
    ],
)
def test_the_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    # RFC 6238, appendix B: the last six of eight digits.
    assert matching_step(RFC_SECRET, code, datetime.fromtimestamp(seconds, UTC)) == seconds // 30


@pytest.mark.parametrize(("off", "is_taken"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)])
def test_a_clock_may_be_off_by_one_step(off: int, is_taken: bool) -> None:
    now = datetime.fromtimestamp(1_111_111_111 + off, UTC)

    assert (matching_step(RFC_SECRET, "050471", now) is not None) is is_taken


@pytest.mark.parametrize("code", ["50471", "0504711", "05047a", "", "٠٥٠٤٧١", "050471\n"])
def test_what_is_not_the_code_of_this_secret_matches_no_step(code: str) -> None:
    now = datetime.fromtimestamp(1_111_111_111, UTC)

    assert matching_step(RFC_SECRET, code, now) is None or plain_code(code) == "050471"


def test_an_app_is_told_the_secret_the_gateway_and_the_person() -> None:
    secret = mint_totp_secret(secrets.choice)

    address = urlsplit(totp_address(secret, email="ann+x@acme.example", issuer="api.example.com:8443"))

    assert (address.scheme, address.netloc) == ("otpauth", "totp")
    assert unquote(address.path) == "/api.example.com:8443:ann+x@acme.example"
    assert parse_qs(address.query) == {"secret": [secret], "issuer": ["api.example.com:8443"]}
    assert len(secret) == 32


def test_recovery_codes_differ_and_are_typed_as_one_likes() -> None:
    codes = mint_recovery_codes(secrets.choice)

    assert len(set(codes)) == 10
    for code in codes:
        plain = plain_code(code)
        assert len(plain) == 16
        assert not is_time_code(plain)
        assert plain_code(f" {code.upper().replace('-', ' ')} ") == plain


def test_six_digits_may_be_typed_in_two_groups() -> None:
    assert is_time_code(plain_code("050 471"))
