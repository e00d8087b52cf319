"""Where points and labels of a chart go, and what its words say."""

import math

import pytest

from gateway.dashboard.charts import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    Chart,
    duration_chart,
    round_count,
    round_seconds,
    rows_chart,
    short_count,
    short_span,
)
from gateway.models import Job

FIRST, MIDDLE, LAST = "2026-03-01T00:00:00.000Z", "2026-03-16T00:00:00.000Z", "2026-03-31T00:00:00.000Z"


def a_job(
    at: str | None = FIRST, duration: str | None = "PT1M", rows: int | None = 10, status: str = "succeeded"
) -> Job:
    return Job(1, "airbyte-1", status, "sync", at, 1, rows, duration)


def drawn(chart: Chart | None) -> Chart:
    assert chart is not None
    return chart


@pytest.mark.parametrize(
    ("most", "top", "labels"),
    [
        (0, 10, ("10 s", "5 s", "0")),
        (10, 10, ("10 s", "5 s", "0")),
        (11, 20, ("20 s", "10 s", "0")),
        (45, 60, ("1 min", "30 s", "0")),
        (61, 120, ("2 min", "1 min", "0")),
        (1_500, 1_800, ("30 min", "15 min", "0")),
        (3_600, 3_600, ("1 h", "30 min", "0")),
        (3_601, 7_200, ("2 h", "1 h", "0")),
        (86_400, 86_400, ("1 d", "12 h", "0")),
        (86_401, 172_800, ("2 d", "1 d", "0")),
        (400_000, 518_400, ("6 d", "3 d", "0")),
    ],
)
def test_an_axis_of_durations_has_round_labels(most: int, top: int, labels: tuple[str, ...]) -> None:
    chart = drawn(duration_chart([a_job(duration=f"PT{most}S")]))

    assert round_seconds(most) == top
    assert tuple(label.text for label in chart.values) == labels


@pytest.mark.parametrize(
    ("most", "top", "labels"),
    [
        (0, 2, ("2", "1", "0")),
        (3, 4, ("4", "2", "0")),
        (10, 10, ("10", "5", "0")),
        (11, 20, ("20", "10", "0")),
        (999, 1_000, ("1k", "500", "0")),
        (31_467, 40_000, ("40k", "20k", "0")),
        (1_000_001, 2_000_000, ("2M", "1M", "0")),
        (5 * 10**12, 6 * 10**12, ("6000bn", "3000bn", "0")),
    ],
)
def test_an_axis_of_rows_has_round_labels(most: int, top: int, labels: tuple[str, ...]) -> None:
    chart = drawn(rows_chart([a_job(rows=most)]))

    assert round_count(most) == top
    assert tuple(label.text for label in chart.values) == labels


def test_every_label_says_exactly_what_it_stands_for() -> None:
    """Half of a round top must be as round, or its label would lie."""
    spans = {"s": 1, "min": 60, "h": 3600, "d": 86400}
    counts = {"": 1, "k": 10**3, "M": 10**6, "bn": 10**9}
    for most in [*range(1, 5_000), *(2**power for power in range(13, 25))]:
        for value in (round_seconds(most), round_seconds(most) // 2):
            number, unit = short_span(value).split()
            assert int(number) * spans[unit] == value
        for value in (round_count(most), round_count(most) // 2):
            text = short_count(value)
            assert int(text.rstrip("kMbn")) * counts[text.lstrip("0123456789")] == value


def test_the_highest_point_uses_half_of_the_field_at_least_and_never_leaves_it() -> None:
    for most in range(200_000):
        assert most <= round_count(most) <= max(2, 2 * most)
        assert most <= round_seconds(most) <= max(10, 2 * most)


def test_points_lie_in_time_and_value() -> None:
    jobs = [a_job(LAST, rows=0), a_job(MIDDLE, rows=5), a_job(FIRST, rows=10)]

    points = drawn(rows_chart(jobs)).points

    assert [(point.x, point.y) for point in points] == [
        (LEFT, TOP),
        ((LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2),
        (RIGHT, BOTTOM),
    ]


def test_labels_stand_beside_their_values() -> None:
    assert [label.at for label in drawn(rows_chart([a_job()])).values] == [TOP, (TOP + BOTTOM) / 2, BOTTOM]


@pytest.mark.parametrize(
    ("first", "last", "labels"),
    [
        (FIRST, LAST, [(LEFT, "1 Mar", "start"), (220, "16 Mar", "middle"), (RIGHT, "31 Mar", "end")]),
        (
            FIRST,
            "2026-03-02T10:30:00.000Z",
            [(LEFT, "1 Mar, 00:00", "start"), (RIGHT, "2 Mar, 10:30", "end")],
        ),
        (FIRST, FIRST, [(220, "1 Mar, 00:00", "middle")]),
    ],
)
def test_dates_are_told_as_finely_as_needed(first: str, last: str, labels: list[tuple[float, str, str]]) -> None:
    chart = drawn(rows_chart([a_job(last), a_job(first)]))

    assert [(label.at, label.text, label.anchor) for label in chart.dates] == labels


def test_jobs_of_one_moment_lie_in_the_middle() -> None:
    assert {point.x for point in drawn(rows_chart([a_job(), a_job()])).points} == {220}


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        ("succeeded", "succeeded", "1 Mar, 00:00: 10 rows"),
        ("failed", "failed", "1 Mar, 00:00: 10 rows, failed"),
        ("cancelled", "other", "1 Mar, 00:00: 10 rows, cancelled"),
    ],
)
def test_a_point_says_what_became_of_its_job(status: str, kind: str, words: str) -> None:
    (point,) = drawn(rows_chart([a_job(status=status)])).points

    assert (point.kind, point.words) == (kind, words)


@pytest.mark.parametrize(
    ("jobs", "words"),
    [
        ([a_job()], "The last finished sync took 1 min 0 s."),
        ([a_job(status="failed")], "The last finished sync took 1 min 0 s; it failed."),
        ([a_job(), a_job()], "The last 2 finished syncs took 1 min 0 s; none failed."),
        (
            [a_job(duration="PT2H"), a_job(duration="PT40S", status="failed"), a_job(duration="PT5M")],
            "The last 3 finished syncs took 40 s to 2 h 0 min, typically 5 min 0 s; 1 failed.",
        ),
    ],
)
def test_the_words_sum_up_durations(jobs: list[Job], words: str) -> None:
    assert drawn(duration_chart(jobs)).words == words


@pytest.mark.parametrize(
    ("jobs", "words"),
    [
        ([a_job(rows=1)], "The last finished sync moved 1 row."),
        (
            [a_job(rows=0), a_job(rows=12_345), a_job(rows=700)],
            "The last 3 finished syncs moved 0 to 12,345 rows, typically 700; none failed.",
        ),
    ],
)
def test_the_words_sum_up_rows(jobs: list[Job], words: str) -> None:
    assert drawn(rows_chart(jobs)).words == words


def test_a_job_without_a_time_or_a_value_is_left_out() -> None:
    jobs = [a_job(at=None), a_job(duration=None, rows=None), a_job(duration="PT-5S", rows=-1), a_job()]

    for chart in (duration_chart(jobs), rows_chart(jobs)):
        assert len(drawn(chart).points) == 1


@pytest.mark.parametrize("jobs", [[], [a_job(at=None)], [a_job(duration=None, rows=None)]])
def test_nothing_known_is_no_chart(jobs: list[Job]) -> None:
    assert duration_chart(jobs) is None
    assert rows_chart(jobs) is None


def test_coordinates_are_plain_numbers() -> None:
    jobs = [a_job(f"2026-03-{day:02}T01:02:03.000Z", rows=day**5) for day in range(1, 32)]

    for point in drawn(rows_chart(jobs)).points:
        assert math.isclose(point.x * 10, round(point.x * 10))
        assert LEFT <= point.x <= RIGHT
        assert TOP <= point.y <= BOTTOM
