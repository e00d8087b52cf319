"""What names, labels and other words of the operator's may look like."""

from datetime import UTC, datetime

import pytest

from gateway import validation
from gateway.errors import InvalidInput
from gateway.models import RatePolicy

NOW = datetime(2026, 4, 1, 3, 0, tzinfo=UTC)


@pytest.mark.parametrize("value", ["A", "Acme Inc", "Ünïcødé ☃", "<script>", "'; DROP TABLE clients", "a" * 200])
def test_a_name_is_any_printable_text(value: str) -> None:
    assert validation.text("the name", value) == value


@pytest.mark.parametrize(
    "value", ["", " ", " Acme", "Acme ", "a\nb", "a\tb", "a\x00b", "a\u202eb", "a\u200bb", "\udc80", "a" * 201]
)
def test_a_name_that_hides_something_is_refused(value: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        validation.text("the name", value)

    assert str(refusal.value) == "the name must be 1 to 200 printable characters, without space at either end"


@pytest.mark.parametrize("value", ["a", "0", "acme", "acme-inc", "a--b", "a" * 63])
def test_a_slug_is_lower_case_letters_digits_and_inner_hyphens(value: str) -> None:
    assert validation.slug("the slug", value) == value


@pytest.mark.parametrize("value", ["", "-", "a-", "-a", "Acme", "acme inc", "acme_inc", "a/b", "acmé", "a\n", "a" * 64])
def test_anything_else_is_no_slug(value: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        validation.slug("the slug", value)

    assert str(refusal.value) == (
        "the slug must be 1 to 63 lower-case letters, digits or inner hyphens, for example acme-inc"
    )


@pytest.mark.parametrize("value", ["9924bcd0-99be-453d-ba47-c2c9766f7da5", "9924BCD0-99BE-453D-BA47-C2C9766F7DA5"])
def test_a_uuid_is_kept_in_lower_case(value: str) -> None:
    assert validation.uuid("the Airbyte id", value) == "9924bcd0-99be-453d-ba47-c2c9766f7da5"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "conn_1",
        "9924bcd099be453dba47c2c9766f7da5",
        "{9924bcd0-99be-453d-ba47-c2c9766f7da5}",
        "9924bcd0-99be-453d-ba47-c2c9766f7da5\n",
        "9924bcd0-99be-453d-ba47-c2c9766f7dag",
        "../../etc/passwd",
    ],
)
def test_anything_else_is_no_uuid(value: str) -> None:
    with pytest.raises(
        InvalidInput, match="the Airbyte id must be a UUID such as 9924bcd0-99be-453d-ba47-c2c9766f7da5"
    ):
        validation.uuid("the Airbyte id", value)


def test_a_rate_is_requests_per_seconds() -> None:
    assert validation.rate("100/60") == RatePolicy(100, 60)


@pytest.mark.parametrize("value", ["", "100", "100/", "/60", "0/60", "100/0", "-1/60", "1.5/60", "100/60 ", "1e9/1"])
def test_anything_else_is_no_rate(value: str) -> None:
    with pytest.raises(InvalidInput, match="a rate is REQUESTS/SECONDS, for example 100/60"):
        validation.rate(value)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("90d", "2026-06-30T03:00:00.000Z"),
        ("1s", "2026-04-01T03:00:01.000Z"),
        ("2030-01-31", "2030-01-31T00:00:00.000Z"),
        ("2030-01-31T12:00:00Z", "2030-01-31T12:00:00.000Z"),
        ("2030-01-31T12:00:00+02:00", "2030-01-31T10:00:00.000Z"),
        ("2026-04-01T03:00:00.001Z", "2026-04-01T03:00:00.001Z"),
    ],
)
def test_a_key_ends_after_a_duration_or_at_a_moment_to_come(value: str, moment: str) -> None:
    assert validation.expiry(value, NOW) == moment


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("2026-04-01", "2026-04-01 is in the past"),
        ("2026-04-01T03:00:00Z", "2026-04-01T03:00:00Z is in the past"),
        ("999999w", "999999w is too far away"),
        *[
            (
                value,
                f"{value!r} is neither a duration such as 90d nor a date such as 2030-01-31 or 2030-01-31T12:00:00Z",
            )
            for value in ("", "soon", "0s", "2030-02-30", "2030-01-31T12:00:00", "2030-01-31\n")
        ],
    ],
)
def test_an_expiry_that_is_past_or_no_time_at_all_is_refused(value: str, message: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        validation.expiry(value, NOW)

    assert str(refusal.value) == message


@pytest.mark.parametrize(("value", "moment"), [("0s", "2026-04-01T03:00:00.000Z"), ("24h", "2026-04-02T03:00:00.000Z")])
def test_the_old_key_of_a_rotation_ends_after_the_overlap(value: str, moment: str) -> None:
    assert validation.overlap(value, NOW) == moment


@pytest.mark.parametrize("value", ["", "0d", "-1h", "tomorrow", "2030-01-31", "999999w"])
def test_an_overlap_that_is_no_duration_is_refused(value: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        validation.overlap(value, NOW)

    assert str(refusal.value) == f"{value!r} is no duration such as 24h, 7d or 0s"
