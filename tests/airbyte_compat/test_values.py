"""Values as Airbyte's clients read them."""

from gateway.airbyte_compat.values import streams_content
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


def len_of(stream: CatalogStream) -> int:
    return len(stream.name)
