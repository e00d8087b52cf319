"""What /metrics shows: counts and times, without a label a caller could invent."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 80)
FORWARDED_UNTRUSTED = "gateway_forwarded_untrusted"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """One registry for each gateway. Children are looked up once: labels cost more than counting."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "gateway_requests", "Requests answered.", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "gateway_request_seconds", "Time to answer.", ("route",), buckets=SECONDS, registry=self._registry
        )
        self._mismatches = Counter(
            "gateway_upstream_identity_mismatch",
            "Rows of Airbyte's that belonged to another connection than the one asked for. Alarm at 1.",
            registry=self._registry,
        )
        self._forwarded_untrusted = Counter(
            FORWARDED_UNTRUSTED,
            "Requests whose X-Forwarded-For was not believed: it came from no address of server.trusted_proxies.",
            registry=self._registry,
        )
        self._gauges: dict[str, Gauge] = {}
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        children = self._children.get((method, route, status))
        if children is None:
            known = method if method in METHODS else "other"
            children = (self._requests.labels(known, route, str(status)), self._seconds.labels(route))
            if known == method:
                self._children[method, route, status] = children
        children[0].inc()
        children[1].observe(seconds)

    def count_mismatch(self, rows: int) -> None:
        self._mismatches.inc(rows)

    def count_forwarded_untrusted(self) -> None:
        self._forwarded_untrusted.inc()

    @property
    def forwarded_untrusted(self) -> int:
        return int(self._registry.get_sample_value(f"{FORWARDED_UNTRUSTED}_total") or 0)

    def gauge(self, name: str, text: str, value: float) -> None:
        """Set a gauge, made at its first use."""
        if name not in self._gauges:
            self._gauges[name] = Gauge(f"gateway_{name}", text, registry=self._registry)
        self._gauges[name].set(value)

    def render(self) -> bytes:
        """Prometheus text format."""
        return generate_latest(self._registry)
