"""/dashboard/connections/volume.csv, and below a client's page: what each connection moved in two spans of days."""

from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard.csv_answer import CSV_BATCH_ROWS, Batches, Row, csv_answer
from gateway.dashboard.volume_page import Period, Periods, read_compared
from gateway.models import ConnectionVolume, MonthCounts

VOLUME_COLUMNS = ("from", "to", "connectionId", "label", "connectorType", "syncs", "rows", "bytes")
MOST_CSV_CONNECTIONS = 100_000
"""They are read at once, so that none is missed or told twice: more than anybody has of one client."""


async def download_volume(request: Request) -> Response:
    """Send what the page's table has on all its pages, a line for each connection and span.

    Raises NotFound, BadRequest.
    """
    client, periods, compared = await read_compared(request, size=MOST_CSV_CONNECTIONS)

    async def batches() -> Batches:
        for start in range(0, len(compared.rows), CSV_BATCH_ROWS):
            yield [line for each in compared.rows[start : start + CSV_BATCH_ROWS] for line in _lines(each, periods)]

    name = f"{client.slug}-volume-{periods.first.first}-to-{periods.first.last}"
    return await csv_answer(request, name, VOLUME_COLUMNS, batches())


def _lines(volume: ConnectionVolume, periods: Periods) -> list[Row]:
    return [
        _line(volume, periods.first, volume.first),
        _line(volume, periods.second, volume.second),
    ]


def _line(volume: ConnectionVolume, period: Period, counts: MonthCounts) -> Row:
    return (
        period.first.isoformat(),
        period.last.isoformat(),
        volume.id,
        volume.label,
        volume.connector_type,
        counts.syncs,
        counts.rows,
        counts.bytes,
    )
