"""An odd row costs nothing but itself, and every list has an end."""

import itertools

import msgspec
import pytest

from gateway.airbyte.mapping import job_from
from gateway.airbyte.rows import MOST_REPEATS, Page, page_of, walk
from gateway.airbyte.schema import JobRecord, RawPage
from gateway.errors import UpstreamInvalid

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
        (b"null", set()),
        (b"[[7]]", set()),
    ],
)
def test_an_odd_row_is_dropped_and_counted_and_the_others_are_read(odd: bytes, connections: set[str]) -> None:
    raw = msgspec.json.decode(b'{"data":[' + GOOD + b"," + odd + b"," + GOOD + b"]}", type=RawPage)
    counted: list[int] = []

    page = page_of(raw, msgspec.json.Decoder(JobRecord), job_from, counted.append)

    assert [(job.job_id, job.status) for job in page.rows] == [(7, "running")] * 2
    assert (page.sent, set(page.odd_connections), counted) == (3, connections, [1])


def test_a_row_that_is_nested_too_deep_is_an_odd_one() -> None:
    """The page was read where the stack was less deep."""
    row = b'{"connectionId":"one","more":' + 5_000 * b"[" + 5_000 * b"]" + b"}"

    page = page_of(
        RawPage([msgspec.Raw(row)]), msgspec.json.Decoder(JobRecord), job_from, count_odd=lambda _number: None
    )

    assert (page.rows, page.sent) == ([], 1)


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
