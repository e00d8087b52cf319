"""Counts kept as plain numbers, which become prometheus_client's when they are asked for: a request pays for little."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 80)
BOUNDS = (*(str(float(bound)) for bound in SECONDS), "+Inf")
MOST_CLIENTS = 100
"""That have figures of their own. Each takes a series for every status that it is answered with."""
OTHER_CLIENTS = "(other)"
INTERNAL_ERROR = 500
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Times:
    """How long the answers of a route took: how many fell between two bounds, and the sum of all."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * len(BOUNDS)
        self.total = 0.0


class Tally:
    """Answers of one method, route and status. `times` are shared by all of the route."""

    __slots__ = ("count", "times")

    def __init__(self, times: Times) -> None:
        self.count = 0
        self.times = times


class Requests(Collector):
    """Counted in plain numbers, which become prometheus_client's when they are asked for."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, str, int], Tally] = {}
        self._times: dict[str, Times] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer, and the seconds it took."""
        tally = self._tallies.get((method, route, status)) or self._new_tally(method, route, status)
        tally.count += 1
        times = tally.times
        times.total += seconds
        times.counts[bisect_left(SECONDS, seconds)] += 1

    def _new_tally(self, method: str, route: str, status: int) -> Tally:
        """Make the tally; methods that callers invent share one."""
        key = (method if method in METHODS else "other", route, status)
        return self._tallies.setdefault(key, Tally(self._times.setdefault(route, Times())))

    def collect(self) -> Iterator[Metric]:
        """Yield the figures. Called by prometheus_client."""
        answered = CounterMetricFamily("gateway_requests", "Requests answered.", labels=("method", "route", "status"))
        for (method, route, status), tally in self._tallies.items():
            answered.add_metric((method, route, str(status)), tally.count)
        yield answered
        # There from the start: a series that begins with the first error shows no increase.
        errors = sum(tally.count for (_, _, status), tally in self._tallies.items() if status == INTERNAL_ERROR)
        yield CounterMetricFamily("gateway_internal_errors", "Requests answered with 500.", value=errors)
        seconds = HistogramMetricFamily("gateway_request_seconds", "Time to answer.", labels=("route",))
        for route, times in self._times.items():
            buckets = list(zip(BOUNDS, accumulate(times.counts), strict=True))
            seconds.add_metric((route,), buckets, times.total)
        yield seconds


class Clients(Collector):
    """Answers to each client's keys; the first `MOST_CLIENTS` by name, all others together."""

    def __init__(self) -> None:
        self._statuses: dict[str, dict[int, int]] = {}

    def observe(self, client: str, status: int) -> None:
        """Count an answer to one of the client's keys; `client` is the slug."""
        statuses = self._statuses.get(client) or self._new_statuses(client)
        statuses[status] = statuses.get(status, 0) + 1

    def _new_statuses(self, client: str) -> dict[int, int]:
        name = client if len(self._statuses) < MOST_CLIENTS else OTHER_CLIENTS
        return self._statuses.setdefault(name, {})

    def collect(self) -> Iterator[Metric]:
        """Yield the figures. Called by prometheus_client."""
        answered = CounterMetricFamily(
            "gateway_client_requests", "Requests answered to a client's keys.", labels=("client", "status")
        )
        for client, statuses in self._statuses.items():
            for status, count in statuses.items():
                answered.add_metric((client, str(status)), count)
        yield answered


class Readings(Collector):
    """What others count or know, as it was when it was read."""

    def __init__(self) -> None:
        self.families: dict[str, Metric] = {}

    def collect(self) -> Iterator[Metric]:
        """Yield the figures as they were read last. Called by prometheus_client."""
        yield from self.families.values()


class BackgroundTasks(Collector):
    """How often each background task has failed, and which are failing now."""

    def __init__(self) -> None:
        self.tasks: Sequence[tuple[str, int, bool]] = ()
        """Name, failures, and whether it is failing."""

    def collect(self) -> Iterator[Metric]:
        """Yield the figures. Called by prometheus_client."""
        failures = CounterMetricFamily(
            "gateway_background_task_failures", "Times a background task ended by an exception.", labels=("task",)
        )
        failing = GaugeMetricFamily(
            "gateway_background_task_failing", "1 while a background task waits for its restart.", labels=("task",)
        )
        for name, count, is_failing in self.tasks:
            failures.add_metric((name,), count)
            failing.add_metric((name,), is_failing)
        yield failures
        yield failing
