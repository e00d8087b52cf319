"""The rows of the table: each measures one thing by itself and needs only an arena and how many rounds to take."""

from collections.abc import Callable

from bench.arena import Arena
from bench.rows.connections import connections
from bench.rows.footprint import memory, start
from bench.rows.large_file import large_file
from bench.rows.latency import latency
from bench.rows.refresh import refresh
from bench.rows.scale import scale
from bench.rows.throughput import jobs, polling, refused, status
from bench.scores import Line

Row = Callable[[Arena, int], list[Line]]
ROWS: dict[str, Row] = {
    "status": status,
    "refused": refused,
    "jobs": jobs,
    "polling": polling,
    "latency": latency,
    "connections": connections,
    "refresh": refresh,
    "scale": scale,
    "large": large_file,
    "memory": memory,
    "start": start,
}
