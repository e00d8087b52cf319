"""Values as Airbyte's clients read them."""

import asyncio

from gateway.airbyte_compat.values import make_streams, streams_content
from gateway.models import CatalogStream, ConnectionDetail

STREAMS = tuple(CatalogStream(name, None, None, (), ()) for name in ("orders", "customers"))


def test_the_streams_of_a_connection_are_made_into_json_once_for_each_api() -> None:
    """A list of a warehouse's thousands of them would otherwise hold up everybody's calls each time."""
    detail = ConnectionDetail("c", "s", "d", "active", "", STREAMS)
    made: list[str] = []

    def content(stream: CatalogStream) -> str:
        made.append(stream.name)
        return stream.name

    for _ in range(3):
        assert bytes(streams_content(detail, "public", content)) == b'["orders","customers"]'
    assert bytes(streams_content(detail, "config", len_of)) == b"[6,9]"
    assert made == ["orders", "customers"]


async def test_other_calls_go_on_between_the_streams_of_one_connection_and_those_of_the_next() -> None:
    details = [ConnectionDetail("c", "s", "d", "active", "", STREAMS) for _ in range(3)]
    order: list[str] = []

    def content(stream: CatalogStream) -> str:
        order.append(stream.name)
        return stream.name

    async def call() -> None:
        order.append("another call")

    other = asyncio.create_task(call())
    await make_streams(details, "public", content)
    await other

    assert order.index("another call") == len(STREAMS)
    assert len(order) == 3 * len(STREAMS) + 1
    assert all("public" in detail.kept for detail in details)


def len_of(stream: CatalogStream) -> int:
    return len(stream.name)
