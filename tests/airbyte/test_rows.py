"""An odd row costs nothing but itself, and every list has an end."""

import itertools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.airbyte.mapping import job_from
from gateway.airbyte.rows import MOST_BOUNDARIES, MOST_REPEATS, Page, PageDecoder, split_rows, walk
from gateway.airbyte.schema import JobRecord
from gateway.errors import UpstreamInvalid

JOBS = PageDecoder(JobRecord, job_from)
GOOD = b'{"jobId":7,"status":"running","jobType":"sync","connectionId":"one"}'


@pytest.mark.parametrize(
    ("odd", "connections"),
    [
        (GOOD.replace(b"7", b'"7"'), {"one"}),
        (GOOD.replace(b"running", b"Running!"), {"one"}),
        (GOOD.replace(b"running", b"\xff"), {"one"}),
        (GOOD.replace(b'"one"', b'"\xff"'), set()),
        (GOOD.replace(b'"one"', b"1"), set()),
        (GOOD[:-1] + b',"startTime":"yesterday"}', {"one"}),
        (GOOD.replace(b"running", b"\\ud800"), {"one"}),
        (GOOD.replace(b'"running"', b"[" * 1500 + b"]" * 1500), {"one"}),
        (b"null", set()),
        (b"[[7]]", set()),
    ],
)
def test_an_odd_row_is_dropped_and_counted_and_the_others_are_read(odd: bytes, connections: set[str]) -> None:
    page = JOBS.decode(b'{"previous":"","data":[' + GOOD + b", " + odd + b"," + GOOD + b'],"next":"data"}')

    assert [(job.job_id, job.status) for job in page.rows] == [(7, "running")] * 2
    assert (page.sent, set(page.odd_connections)) == (3, connections)


ROWS = st.recursive(
    st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@settings(max_examples=30)
@given(st.lists(ROWS, min_size=1), st.dictionaries(st.text().filter(lambda key: key != "data"), ROWS))
def test_a_page_is_split_where_its_rows_end_whatever_they_hold(rows: list[object], around: dict[str, object]) -> None:
    body = msgspec.json.encode({**around, "data": [{"row": row} for row in rows], "last": around})

    assert [bytes(row) for row in split_rows(body) or ()] == [msgspec.json.encode({"row": row}) for row in rows]


@pytest.mark.parametrize(
    "body",
    [
        b'{"data":[' + GOOD + b',{"x":"\\ud800"}',
        b'{"data":{"rows":[{"x":"\\ud800"}]}}',
        b'{"x":"\\ud800"}',
        b'{"data":[' + b"[" * MOST_BOUNDARIES + b"]" * MOST_BOUNDARIES + b"]}",
    ],
    ids=["cut", "no list", "no data", "too much"],
)
def test_a_page_without_an_end_of_its_rows_is_no_page(body: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, RecursionError)):
        JOBS.decode(body)


async def test_a_list_is_walked_to_its_empty_page_whatever_was_dropped() -> None:
    pages = {0: Page([1], 2), 2: Page[int]([], 2), 4: Page([2], 1), 5: Page[int]([], 0)}

    async def read(offset: int) -> Page[int]:
        return pages[offset]

    assert [page.rows async for page in walk(read, lambda row: row)] == [[1], [], [2]]


async def test_an_airbyte_that_ignores_the_offset_is_left_after_a_few_pages() -> None:
    calls = itertools.count()

    async def read(offset: int) -> Page[int]:
        assert next(calls) <= MOST_REPEATS
        return Page([1, 2], 2)

    with pytest.raises(UpstreamInvalid) as raised:
        [page async for page in walk(read, lambda row: row)]

    assert "no end" in raised.value.detail
