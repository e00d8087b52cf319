"""Airbyte's records as ours: what is taken as it is, what is left out, what is refused."""

import pytest
from structlog.testing import capture_logs

from gateway.airbyte.mapping import job_from
from gateway.airbyte.schema import JobRecord
from gateway.errors import UpstreamInvalid


def duration_of(text: str) -> str | None:
    return job_from(JobRecord(job_id=1, status="failed", job_type="sync", connection_id="x", duration=text)).duration


@pytest.mark.parametrize("text", ["PT0S", "PT10S", "PT2M14S", "PT26H3M", "PT0.25S", "PT1H0.000000001S"])
def test_a_duration_is_taken_as_it_is(text: str) -> None:
    assert duration_of(text) == text


@pytest.mark.parametrize("text", ["PT-5M", "PT-0.5S", "PT-1H-5M", "-PT6M", "PT1H-5M", "PTS", "PT5", "PT5S3M", "PT1.5H"])
def test_a_negative_or_odd_duration_is_left_out_and_its_text_logged_once(text: str) -> None:
    with capture_logs() as lines:
        assert [duration_of(text), duration_of(text)] == [None, None]

    assert lines == [{"event": "odd_duration", "duration": text, "log_level": "warning"}]


@pytest.mark.parametrize("text", ["", "PT", "yesterday", "PT<b>", "PT5M\n", "PT" + "9" * 40 + "S"])
def test_what_is_no_duration_makes_the_job_odd(text: str) -> None:
    with pytest.raises(UpstreamInvalid):
        duration_of(text)
