"""What /metrics shows: counts and times, without a label a caller could invent, and with a bound on clients."""

from collections.abc import Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from gateway.telemetry.collectors import BackgroundTasks, Clients, Readings, Requests

ODD_ROWS = "upstream_odd_rows"
FORWARDED_UNTRUSTED = "forwarded_untrusted"
CALL_OUTCOMES = ("ok", "unreachable", "invalid", "refused", "busy", "timeout")
"""How a call to Airbyte may end. Each is there from the start: what is counted from nothing shows no increase."""
WEBHOOK_OUTCOMES = ("delivered", "failed", "given_up")
"""How an attempt to send an event may end: taken, to be sent again later, or the last one in vain."""
SHED_REASONS = ("known", "unauthenticated", "connections")


class Metrics:
    """One registry for each gateway."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        requests = Requests()
        self._registry.register(requests)
        self.observe = requests.observe
        """Count a request. The method itself: one call less for each."""
        clients = Clients()
        self._registry.register(clients)
        self.observe_client = clients.observe
        """Count an answer to a client's key."""
        self._background_tasks = BackgroundTasks()
        self._registry.register(self._background_tasks)
        self._readings = Readings()
        self._registry.register(self._readings)
        ProcessCollector(registry=self._registry)
        self._add_counters()

    def _add_counters(self) -> None:
        self._mismatches = self._new_counter(
            "upstream_identity_mismatch",
            "Rows of Airbyte's that belonged to another connection than the one asked for. Alarm at 1.",
        )
        self._odd_rows = self._new_counter(
            ODD_ROWS, "Rows of Airbyte's lists that were dropped because a field of them had an unexpected form."
        )
        self._forwarded_untrusted = self._new_counter(
            FORWARDED_UNTRUSTED,
            "Requests whose X-Forwarded-For was not believed: it came from no address of server.trusted_proxies.",
        )
        self._stale_answers = self._new_counter(
            "stale_answers", "Answers with the last known syncs and a Warning, for Airbyte gave no newer ones."
        )
        self._upstream_calls = self._new_counters(
            "upstream_calls", "Calls to Airbyte, by how they ended.", "outcome", CALL_OUTCOMES
        )
        self._config_calls = self._new_counters(
            "config_api_calls",
            "Calls to Airbyte's Config API, which tells why jobs failed, by how they ended.",
            "outcome",
            CALL_OUTCOMES,
        )
        self._webhook_attempts = self._new_counters(
            "webhook_attempts", "Attempts to send events to webhooks, by how they ended.", "outcome", WEBHOOK_OUTCOMES
        )
        self._shed = self._new_counters(
            "shed_requests",
            "Refused because of too many: requests of callers with a known key, of others, and socket connections.",
            "reason",
            SHED_REASONS,
        )

    def _new_counter(self, name: str, text: str) -> Counter:
        return Counter(f"gateway_{name}", text, registry=self._registry)

    def _new_counters(self, name: str, text: str, label: str, values: Sequence[str]) -> dict[str, Counter]:
        """Return a counter for each of the label's values: looked up once, which costs more than to count."""
        counter = Counter(f"gateway_{name}", text, [label], registry=self._registry)
        return {value: counter.labels(value) for value in values}

    def count_mismatch(self, rows: int) -> None:
        """Count rows of Airbyte's that were about another connection than the one asked for."""
        self._mismatches.inc(rows)

    def count_odd_rows(self, rows: int) -> None:
        """Count rows of Airbyte's that were dropped because they could not be read."""
        self._odd_rows.inc(rows)

    @property
    def odd_rows(self) -> int:
        """How many were dropped so far."""
        return int(self._registry.get_sample_value(f"gateway_{ODD_ROWS}_total") or 0)

    def count_stale(self) -> None:
        """Count an answer that says `Warning`."""
        self._stale_answers.inc()

    def count_call(self, outcome: str) -> None:
        """Count a call to Airbyte that ended so."""
        self._upstream_calls[outcome].inc()

    def count_config_call(self, outcome: str) -> None:
        """Count a call to Airbyte's Config API that ended so."""
        self._config_calls[outcome].inc()

    def count_webhook_attempt(self, outcome: str) -> None:
        """Count an attempt to send an event that ended so."""
        self._webhook_attempts[outcome].inc()

    def count_shed(self, reason: str) -> None:
        """Count a request that was answered 503 at once; `reason` is one word."""
        self._shed[reason].inc()

    def count_forwarded_untrusted(self) -> None:
        """Count a request with forwarding headers from an address that is not trusted."""
        self._forwarded_untrusted.inc()

    @property
    def forwarded_untrusted(self) -> int:
        """How many there were so far."""
        return int(self._registry.get_sample_value(f"gateway_{FORWARDED_UNTRUSTED}_total") or 0)

    def show_background_tasks(self, tasks: Sequence[tuple[str, int, bool]]) -> None:
        """Set what is told of background tasks: name, failures, whether it is failing."""
        self._background_tasks.tasks = tasks

    def gauge(self, name: str, text: str, value: float | None, labels: Mapping[str, str] | None = None) -> None:
        """Show what holds now; None: it is not known, and not shown."""
        family = GaugeMetricFamily(f"gateway_{name}", text, labels=list(labels or ()))
        if value is not None:
            family.add_metric(list((labels or {}).values()), value)
        self._readings.families[name] = family

    def counter(self, name: str, text: str, values: Mapping[Any, float], labels: Sequence[str] = ()) -> None:
        """Show what others have counted since the process began, by tuples of the values of `labels`."""
        family = CounterMetricFamily(f"gateway_{name}", text, labels=labels)
        for key, value in values.items():
            family.add_metric(key, value)
        self._readings.families[name] = family

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)
