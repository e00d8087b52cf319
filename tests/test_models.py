"""The records: what the API shows of a job, and that nothing changes a record."""

import msgspec
import pytest

from gateway.models import Job, RatePolicy, SocketAddress, TriggeredJob

JOB = Job(
    job_id=7,
    connection_id="9924bcd0-99be-453d-ba47-c2c9766f7da5",
    status="running",
    job_type="sync",
    start_time="2026-04-01T03:00:00.000Z",
    bytes_synced=None,
    rows_synced=None,
    duration=None,
)


def test_a_job_is_shown_with_exactly_the_documented_keys_in_their_order() -> None:
    assert msgspec.json.encode(JOB) == (
        b'{"jobId":7,"connectionId":"9924bcd0-99be-453d-ba47-c2c9766f7da5","status":"running","jobType":"sync",'
        b'"startTime":"2026-04-01T03:00:00.000Z","bytesSynced":null,"rowsSynced":null,"duration":null}'
    )


def test_a_triggered_job_is_shown_with_exactly_the_documented_keys_in_their_order() -> None:
    assert msgspec.json.encode(TriggeredJob(7, "9924bcd0", "pending", "sync")) == (
        b'{"jobId":7,"connectionId":"9924bcd0","status":"pending","jobType":"sync"}'
    )


@pytest.mark.parametrize(
    ("status", "is_terminal"),
    [
        ("pending", False),
        ("queued", False),
        ("running", False),
        ("incomplete", False),
        ("a word of a later Airbyte's", False),
        ("failed", True),
        ("succeeded", True),
        ("cancelled", True),
    ],
)
def test_a_job_is_over_only_when_airbyte_says_one_of_three_words(status: str, is_terminal: bool) -> None:
    assert msgspec.structs.replace(JOB, status=status).is_terminal is is_terminal


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        JOB.status = "succeeded"  # type: ignore[misc]  # the very thing that must fail


def test_a_policy_knows_its_refill() -> None:
    assert RatePolicy(100, 50).tokens_per_second == 2.0


@pytest.mark.parametrize(
    ("host", "text"), [("airbyte.example", "airbyte.example:80"), ("127.0.0.1", "127.0.0.1:80"), ("::1", "[::1]:80")]
)
def test_an_address_is_written_as_in_a_url(host: str, text: str) -> None:
    assert str(SocketAddress(host, 80)) == text
