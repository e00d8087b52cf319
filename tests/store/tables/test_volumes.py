"""What days of syncs come to: by month, and of each connection in two spans of days."""

from gateway.models import Client, Connection, MonthCounts, MonthVolume, SyncDay
from gateway.store import Excerpt, Store

NOW = "2026-04-01T03:00:00.000Z"
MARCH, APRIL = ("2026-03-01", "2026-04-01"), ("2026-04-01", "2026-05-01")


async def moved(store: Store, client: Client, name: str, *days: tuple[str, int]) -> None:
    """A connection with a sync of so many rows on each of the days; none of them failed but those of one row."""
    airbyte_id = f"airbyte-{name}"
    await store.connections.add(
        Connection(f"conn_{name}", client.id, "shopify", name, "active", created_at=NOW, airbyte_id=airbyte_id)
    )
    rows = [
        SyncDay(airbyte_id, day, succeeded=int(rows > 1), failed=int(rows == 1), other=0, rows=rows, bytes=10 * rows)
        for day, rows in days
    ]
    await store.sync_days.replace(airbyte_id, rows, first="", before="9", read_upto=NOW)


async def test_months_have_what_began_in_them(store: Store, acme: Client, other: Client) -> None:
    await moved(store, acme, "shop", ("2026-02-28", 5), ("2026-03-01", 1), ("2026-03-31", 3), ("2026-04-01", 7))
    await moved(store, acme, "mail", ("2026-03-15", 4))
    await moved(store, other, "theirs", ("2026-03-15", 100))

    months = ("2026-05", "2026-04", "2026-03")
    assert await store.volumes.by_month(acme.id, months) == [
        MonthVolume("2026-04", syncs=1, failed=0, rows=7, bytes=70),
        MonthVolume("2026-03", syncs=3, failed=1, rows=8, bytes=80),
    ]
    assert await store.volumes.by_month(acme.id, months, connection_id="conn_mail") == [
        MonthVolume("2026-03", syncs=1, failed=0, rows=4, bytes=40)
    ]
    assert await store.volumes.by_month(acme.id, months, connection_id="conn_theirs") == []


async def test_two_spans_stand_beside_each_other(store: Store, acme: Client, other: Client) -> None:
    await moved(store, acme, "small", ("2026-03-31", 9), ("2026-04-01", 2))
    await moved(store, acme, "large", ("2026-03-31", 3), ("2026-04-30", 5))
    await moved(store, acme, "idle")
    await moved(store, other, "theirs", ("2026-04-01", 100))

    rows, total = await store.volumes.compared(acme.id, Excerpt(10), first=APRIL, second=MARCH)

    assert [(row.id, row.first.rows, row.second.rows) for row in rows] == [
        ("conn_large", 5, 3),
        ("conn_small", 2, 9),
        ("conn_idle", 0, 0),
    ]
    assert total == 3
    assert await store.volumes.total(acme.id, APRIL, MARCH) == (MonthCounts(2, 7, 70), MonthCounts(2, 12, 120))


async def test_they_are_searched_and_come_in_pages(store: Store, acme: Client) -> None:
    for number in range(3):
        await moved(store, acme, f"shop{number}", ("2026-04-01", 10 - number))
    await moved(store, acme, "mail", ("2026-04-01", 99))

    async def page(excerpt: Excerpt) -> tuple[list[str], int]:
        rows, total = await store.volumes.compared(acme.id, excerpt, first=APRIL, second=MARCH)
        return [row.label for row in rows], total

    # The type of all is shopify: the text may be in label, type or id.
    assert await page(Excerpt(2, query="SHOP")) == (["mail", "shop0"], 4)
    assert await page(Excerpt(2, 2, "shop")) == (["shop1", "shop2"], 4)
    assert await page(Excerpt(2, query="_mail")) == (["mail"], 1)
    assert await page(Excerpt(2, sort="first_rows")) == (["shop2", "shop1"], 4)
