"""What /metrics shows: counts and times, without a label a caller could invent."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 80)
BOUNDS = (*(str(float(bound)) for bound in SECONDS), "+Inf")
ODD_ROWS = "gateway_upstream_odd_rows"
FORWARDED_UNTRUSTED = "gateway_forwarded_untrusted"
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
        answered = CounterMetricFamily("gateway_requests", "Requests answered.", labels=("method", "route", "status"))
        for (method, route, status), tally in self._tallies.items():
            answered.add_metric((method, route, str(status)), tally.count)
        yield answered
        seconds = HistogramMetricFamily("gateway_request_seconds", "Time to answer.", labels=("route",))
        for route, times in self._times.items():
            buckets = list(zip(BOUNDS, accumulate(times.counts), strict=True))
            seconds.add_metric((route,), buckets, times.total)
        yield seconds


class BackgroundTasks(Collector):
    """How often each background task has failed, and which are failing now."""

    def __init__(self) -> None:
        self.tasks: Sequence[tuple[str, int, bool]] = ()
        """Name, failures, and whether it is failing."""

    def collect(self) -> Iterator[Metric]:
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


class Metrics:
    """One registry for each gateway."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        requests = Requests()
        self._registry.register(requests)
        self.observe = requests.observe
        """Count a request. The method itself: one call less for each."""
        self._mismatches = Counter(
            "gateway_upstream_identity_mismatch",
            "Rows of Airbyte's that belonged to another connection than the one asked for. Alarm at 1.",
            registry=self._registry,
        )
        self._odd_rows = Counter(
            ODD_ROWS,
            "Rows of Airbyte's lists that were dropped because a field of them had an unexpected form.",
            registry=self._registry,
        )
        self._forwarded_untrusted = Counter(
            FORWARDED_UNTRUSTED,
            "Requests whose X-Forwarded-For was not believed: it came from no address of server.trusted_proxies.",
            registry=self._registry,
        )
        self._background_tasks = BackgroundTasks()
        self._registry.register(self._background_tasks)
        self._gauges: dict[str, Gauge] = {}

    def count_mismatch(self, rows: int) -> None:
        self._mismatches.inc(rows)

    def count_odd_rows(self, rows: int) -> None:
        self._odd_rows.inc(rows)

    @property
    def odd_rows(self) -> int:
        return int(self._registry.get_sample_value(f"{ODD_ROWS}_total") or 0)

    def count_forwarded_untrusted(self) -> None:
        self._forwarded_untrusted.inc()

    @property
    def forwarded_untrusted(self) -> int:
        return int(self._registry.get_sample_value(f"{FORWARDED_UNTRUSTED}_total") or 0)

    def show_background_tasks(self, tasks: Sequence[tuple[str, int, bool]]) -> None:
        """Set what is told of background tasks: name, failures, whether it is failing."""
        self._background_tasks.tasks = tasks

    def gauge(self, name: str, text: str, value: float) -> None:
        """Set a gauge, made at its first use."""
        if name not in self._gauges:
            self._gauges[name] = Gauge(f"gateway_{name}", text, registry=self._registry)
        self._gauges[name].set(value)

    def render(self) -> bytes:
        """Prometheus text format."""
        return generate_latest(self._registry)
