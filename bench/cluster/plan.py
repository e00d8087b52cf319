"""The arithmetic from what one call costs to what so many clients need."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from bench.cluster.costs import FirstCalls, Writes
from bench.cluster.rates import Figures
from gateway.store.tables.api_keys import CACHED_KEYS
from gateway.store.tables.connections import CACHED_CLIENTS

SECONDS_A_DAY = 86_400
SCALES = (10, 1_000, 10_000, 100_000)
FLUSH_SECONDS = 30
BUSY_SHARE = 0.6
"""Of a gateway's core at the peak: above it callers wait for each other."""


@dataclass(frozen=True)
class Assumptions:
    """Of each client."""

    keys: int = 2
    calls_a_key: int = 2_000
    """A day."""
    connections: int = 10
    syncs: int = 4
    """Of each connection a day, all of them triggered through the gateway."""
    peak: float = 5.0
    """Times the mean."""
    jobs_share: float = 0.05
    """Of the calls: `GET …/jobs`, each a call to Airbyte. The rest is answered from memory."""
    freshness_seconds: int = 60
    workspaces_a_call: int = 100
    hours_used: int = 24
    airbyte_ms: float = 50.0
    """What a call to it takes."""
    activity: float = 0.2
    """Entries a day."""
    days: int = 90


@dataclass(frozen=True)
class Costs:
    """What was measured, by the names of where it was."""

    status: Figures
    jobs: Figures
    warm_us: float
    """Of a call on the gateway by itself of which `first` tells."""
    first: FirstCalls
    writes: Writes
    row_bytes: Mapping[str, float]
    """By table."""


@dataclass(frozen=True)
class Need:
    """Of so many clients, at the peak where not said otherwise."""

    clients: int
    calls_mean: float
    calls_peak: float
    syncs_peak: float
    read_share: float
    """Of the calls: a sync has ended or begun since the client's last one, so his connections are read again."""
    cores: float
    gateways: int
    rss_mb: float
    valkey_share: float
    valkey_mb: float
    postgres_share: float
    writer_share: float
    flush_seconds: float
    database_gb: float
    airbyte_minute: float
    airbyte_permits: float
    refresh_seconds: float


def need_of(clients: int, costs: Costs, assumed: Assumptions) -> Need:
    mean = clients * assumed.keys * assumed.calls_a_key / SECONDS_A_DAY
    peak = mean * assumed.peak
    syncs = clients * assumed.connections * assumed.syncs / SECONDS_A_DAY * assumed.peak
    gateways, cores, read_share = _gateways(clients, peak, syncs, costs, assumed)
    keys_a_flush = _keys_a_flush(clients, peak, gateways, assumed)
    jobs, writes = peak * assumed.jobs_share, costs.writes
    airbyte = jobs + syncs + _refresh_calls(clients, assumed) / assumed.freshness_seconds
    flush_seconds = keys_a_flush * writes.flushed_key_ms / 1000
    scripts_us = costs.status.valkey_us * peak + (costs.jobs.valkey_us - costs.status.valkey_us) * (jobs + syncs)
    return Need(
        clients=clients,
        calls_mean=mean,
        calls_peak=peak,
        syncs_peak=syncs,
        read_share=read_share,
        cores=cores,
        gateways=gateways,
        rss_mb=costs.first.idle_mb + _kept_bytes(clients, costs, assumed) / 2**20,
        valkey_share=scripts_us / 1e6,
        valkey_mb=clients * assumed.keys * costs.first.bucket_bytes / 2**20,
        postgres_share=read_share * peak * costs.first.reread_postgres_us / 1e6
        + syncs * writes.trigger_postgres_ms / 1000
        + gateways * keys_a_flush / FLUSH_SECONDS * writes.flushed_key_postgres_ms / 1000,
        writer_share=syncs * writes.trigger_ms / 1000 + gateways * flush_seconds / FLUSH_SECONDS,
        flush_seconds=flush_seconds,
        database_gb=_database_bytes(clients, costs, assumed) / 1e9,
        airbyte_minute=60 * airbyte,
        airbyte_permits=airbyte * assumed.airbyte_ms / 1000,
        refresh_seconds=_refresh_calls(clients, assumed) * assumed.airbyte_ms / 1000,
    )


def _gateways(clients: int, peak: float, syncs: float, costs: Costs, assumed: Assumptions) -> tuple[int, float, float]:
    """How many, their cores' work together, and the share of calls that read the database.

    More gateways are each asked less often by a client, and have less of what they read still right.
    """
    jobs = peak * assumed.jobs_share
    reread_us = max(costs.first.reread_us - costs.warm_us, 0.0)
    # A sync is told of when it begins, at once, and when it ends, with all that ended in the same window.
    changes = syncs + min(syncs, 1 / assumed.freshness_seconds)
    gateways = 1
    while True:
        calls_of_client = peak / clients / gateways
        read_share = changes / (changes + calls_of_client)
        work = (peak - jobs) * costs.status.gateway_us + jobs * costs.jobs.gateway_us + peak * read_share * reread_us
        work += syncs * (costs.jobs.gateway_us + 1000 * costs.writes.trigger_cpu_ms)
        cores = work / 1e6
        if cores <= gateways * BUSY_SHARE:
            return gateways, cores, read_share
        gateways += 1


def _keys_a_flush(clients: int, peak: float, gateways: int, assumed: Assumptions) -> float:
    """How many keys one gateway has seen since its last flush; calls come by chance."""
    calls = peak / (clients * assumed.keys) * FLUSH_SECONDS / gateways
    return clients * assumed.keys * (1 - math.exp(-calls))


def _database_bytes(clients: int, costs: Costs, assumed: Assumptions) -> float:
    """After so many days, all of it used; usage and the days of syncs are kept for forty."""
    connections, keys = assumed.connections, assumed.keys
    rows = {
        "clients": 1.0,
        "connections": connections,
        "api_keys": keys,
        "triggers": connections * assumed.syncs * min(assumed.days, 90),
        "key_usage": keys * assumed.hours_used * min(assumed.days, 40),
        "activity": assumed.activity * assumed.days,
        "sync_days": connections * min(assumed.days, 40),
    }
    return clients * sum(count * costs.row_bytes[table] for table, count in rows.items())


def _kept_bytes(clients: int, costs: Costs, assumed: Assumptions) -> float:
    """In the memory of each gateway, when all clients call."""
    keys = min(clients * assumed.keys, CACHED_KEYS)
    connections = min(clients, CACHED_CLIENTS) * assumed.connections
    return keys * costs.first.key_bytes + connections * costs.first.connection_bytes


def _refresh_calls(clients: int, assumed: Assumptions) -> int:
    """For one refresh, one after the other: each about a hundred workspaces, of which every client has one."""
    return math.ceil(clients / assumed.workspaces_a_call)
