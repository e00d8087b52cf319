"""The tables of cluster-results.md: what was measured, and what is calculated from it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from bench.cluster.machine import facts
from bench.cluster.measured import POSTGRES, SQLITE, Measured
from bench.cluster.plan import BUSY_SHARE, SCALES, Assumptions, Costs, need_of
from bench.cluster.sides import ALONE, SIZES
from bench.references import FOLDER

RESULTS = FOLDER / "cluster-results.md"
HEAD = """# The last `make bench-cluster`

Medians of {rounds} rounds of {seconds} s; see README.md.
"""
RATES = (
    "Gateways",
    "Answers/s",
    "p50 ms",
    "p99 ms",
    "alone p50 ms",
    "alone p99 ms",
    "Gateway µs",
    "Valkey µs",
    "PostgreSQL µs",
    "Database calls",
    "Valkey calls",
    "Airbyte calls",
)
ONE_CORE = """Measured. All gateways of a side share one core; wrk (32 connections), Valkey, PostgreSQL, nginx and the
Airbyte made of nginx share the other, Valkey before wrk. "Alone" is a caller who waits for each answer while nobody
else calls. µs of processor time and calls are for each answer. Database calls are statements less those that are there
without any caller; a warm call makes none, and what is left are the refresh of the last syncs, every 5 s, and the
writing of usage, every 30 s."""
OWN_CORES = """Calculated: a gateway that has a core for itself gives 1,000,000 / its µs."""


def as_markdown(measured: Measured, rounds: int, seconds: int) -> str:
    return "\n".join(_lines(measured, rounds, seconds)) + "\n"


def _lines(measured: Measured, rounds: int, seconds: int) -> Iterator[str]:
    yield HEAD.format(rounds=rounds, seconds=seconds)
    yield from (f"* {fact}" for fact in facts())
    yield from ("", "## The hot path", "", ONE_CORE)
    for call in measured.calls:
        yield from ("", f"### {call}", "")
        yield from _table(RATES, (_rate_row(measured, call, side) for side in measured.sides))
    yield from ("", "### Each gateway on a core of its own", "", OWN_CORES, "")
    yield from _table(
        ("Answers/s of", *(_cluster(size).partition(",")[0] for size in SIZES), "Valkey's core ends at"),
        _own_cores(measured),
    )
    yield from ("", "## Beside the hot path", "", "Measured.", "")
    yield from _table(("What", SQLITE, POSTGRES), _beside(measured))
    yield from ("", "Bytes of a row with its part of the indexes, measured:", "")
    yield from _table(
        ("Table", SQLITE, POSTGRES),
        ((size.table, f"{size.sqlite:,.0f}", f"{size.postgres:,.0f}") for size in measured.sizes),
    )
    yield from ("", "## Planning", "", _assumptions(Assumptions()), "")
    for which, scales in ((SQLITE, SCALES[:2]), (POSTGRES, SCALES)):
        yield from (f"### {which}", "")
        yield from _table(("", *(f"{clients:,} clients" for clients in scales)), _plan_rows(measured, which, scales))
        yield ""


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield f"|{'---|' * len(headings)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _rate_row(measured: Measured, call: str, side: str) -> tuple[str, ...]:
    figures = measured.rates[call, side]
    return (
        side,
        f"{figures.rate:,.0f}",
        f"{figures.p50_ms:.1f}",
        f"{figures.p99_ms:.1f}",
        f"{figures.lone_p50_ms:.2f}",
        f"{figures.lone_p99_ms:.2f}",
        *(f"{value:.0f}" for value in (figures.gateway_us, figures.valkey_us, figures.postgres_us)),
        *(f"{value:.3f}" for value in (figures.statements, figures.scripts, figures.upstream_calls)),
    )


def _cluster(size: int) -> str:
    return f"{size} gateway{'s' if size > 1 else ''}, PostgreSQL, Valkey"


def _own_cores(measured: Measured) -> Iterator[tuple[str, ...]]:
    for call in measured.calls:
        rates = [size * 1e6 / measured.rates[call, _cluster(size)].gateway_us for size in SIZES]
        valkey = 1e6 / measured.rates[call, _cluster(SIZES[-1])].valkey_us
        yield call, *(f"{rate:,.0f}" for rate in rates), f"{valkey:,.0f}/s"


def _beside(measured: Measured) -> Iterator[tuple[str, ...]]:
    first = [measured.first_calls[which] for which in (SQLITE, POSTGRES)]
    writes = [measured.writes[which] for which in (SQLITE, POSTGRES)]
    figures: list[tuple[str, str, Sequence[float]]] = [
        ("A key's first call, µs of the gateway", ".0f", [each.first_us for each in first]),
        ("the same, statements", ".1f", [each.first_statements for each in first]),
        ("the same, µs of PostgreSQL", ".0f", [each.first_postgres_us for each in first]),
        ("A call after its client's connections have changed, µs of the gateway", ".0f", [e.reread_us for e in first]),
        ("the same, statements", ".1f", [each.reread_statements for each in first]),
        ("the same, µs of PostgreSQL", ".0f", [each.reread_postgres_us for each in first]),
        ("A trigger's three transactions, ms of the write lock", ".1f", [each.trigger_ms for each in writes]),
        ("the same, ms of the gateway's processor", ".1f", [each.trigger_cpu_ms for each in writes]),
        ("the same, ms of PostgreSQL's", ".1f", [each.trigger_postgres_ms for each in writes]),
        ("the same, statements", ".1f", [each.trigger_statements for each in writes]),
        ("the same, bytes of PostgreSQL's log", ",.0f", [each.trigger_written_bytes for each in writes]),
        (
            "Usage of a key, written every 30 s in which it called, ms of that lock",
            ".3f",
            [e.flushed_key_ms for e in writes],
        ),
        ("the same, ms of PostgreSQL's processor", ".3f", [each.flushed_key_postgres_ms for each in writes]),
        ("RSS of an idle gateway, MB", ".0f", [each.idle_mb for each in first]),
        ("RSS of an active key, bytes", ",.0f", [each.key_bytes for each in first]),
        ("RSS of a connection of an active client, bytes", ",.0f", [each.connection_bytes for each in first]),
        ("Valkey's memory of a bucket that is not full, bytes", ",.0f", [each.bucket_bytes for each in first]),
        ("Statements a second of a gateway that nobody calls", ".1f", [0.0, measured.background[_cluster(1)]]),
    ]
    # SQLite is in the process: its statements are not counted, its time is the gateway's.
    has_none = ("statements", "PostgreSQL", "Valkey", "Statements")
    for name, style, (ours, theirs) in figures:
        is_absent = ours == 0 or any(word in name for word in has_none)
        yield name, "" if is_absent else f"{ours:{style}}", f"{theirs:{style}}"


def _costs(measured: Measured, which: str) -> Costs:
    status, jobs = measured.calls[0], measured.calls[-1]
    side = ALONE if which == SQLITE else _cluster(SIZES[-1])
    return Costs(
        status=measured.rates[status, side],
        jobs=measured.rates[jobs, side],
        warm_us=measured.rates[status, ALONE if which == SQLITE else _cluster(1)].gateway_us,
        first=measured.first_calls[which]
        if which == POSTGRES
        else replace(measured.first_calls[which], bucket_bytes=0),
        writes=measured.writes[which],
        row_bytes={size.table: size.sqlite if which == SQLITE else size.postgres for size in measured.sizes},
    )


def _plan_rows(measured: Measured, which: str, scales: Sequence[int]) -> Iterator[tuple[str, ...]]:
    costs = _costs(measured, which)
    needs = [need_of(clients, costs, Assumptions()) for clients in scales]
    rows: list[tuple[str, str, list[float]]] = [
        ("Calls a second, mean", ",.1f", [each.calls_mean for each in needs]),
        ("Calls a second, peak", ",.1f", [each.calls_peak for each in needs]),
        ("Syncs triggered a second, peak", ",.2f", [each.syncs_peak for each in needs]),
        (
            "Calls that read the database: a sync began or ended since the client's last",
            ".0%",
            [n.read_share for n in needs],
        ),
        ("Work of all gateways, cores", ",.2f", [each.cores for each in needs]),
        (f"Gateways at {BUSY_SHARE:.0%} of a core each", ",d", [each.gateways for each in needs]),
        ("RSS of each, MB", ",.0f", [each.rss_mb for each in needs]),
        ("Valkey, share of its core", ".1%", [each.valkey_share for each in needs]),
        ("Valkey, MB at most", ",.1f", [each.valkey_mb for each in needs]),
        ("PostgreSQL, cores", ".2f", [each.postgres_share for each in needs]),
        ("Share of the write lock's time", ".0%", [each.writer_share for each in needs]),
        (
            "One writing of usage, s (every 30 s; above 2 s triggers are refused meanwhile)",
            ".2f",
            [n.flush_seconds for n in needs],
        ),
        ("Database after 90 days, GB", ",.3f", [each.database_gb for each in needs]),
        ("Calls to Airbyte a minute, peak", ",.0f", [each.airbyte_minute for each in needs]),
        ("Permits that they take at Airbyte", ".1f", [each.airbyte_permits for each in needs]),
        ("One refresh of the last syncs, s", ".2f", [each.refresh_seconds for each in needs]),
    ]
    for name, style, values in rows:
        if any(values):
            yield name, *(f"{value:{style}}" for value in values)


def _assumptions(assumed: Assumptions) -> str:
    return (
        f"Calculated by `bench/cluster/plan.py`. Assumed of each client: {assumed.keys} keys of "
        f"{assumed.calls_a_key:,} "
        f"calls a day, {assumed.jobs_share:.0%} of them `GET …/jobs`, at the peak {assumed.peak:.0f} times the mean; "
        f"{assumed.connections} connections in a workspace of its own, each synced {assumed.syncs} times a day by a "
        f"trigger through the gateway; {assumed.activity} lines of activity a day; its dashboard is looked at, so the "
        f"days of all syncs are kept. `airbyte.freshness_seconds` is {assumed.freshness_seconds}, a call to Airbyte "
        f"takes {assumed.airbyte_ms:.0f} ms, every key calls in {assumed.hours_used} hours of a day."
    )
