"""What /metrics shows."""

from gateway.telemetry.collectors import MOST_CLIENTS
from gateway.telemetry.metrics import Metrics


def lines_of(metrics: Metrics) -> list[str]:
    return [line for line in metrics.render().decode().splitlines() if not line.startswith("#")]


def test_a_request_is_counted_by_method_route_and_status() -> None:
    metrics = Metrics()
    metrics.observe("GET", "/api/v1/status", 200, 0.01)
    metrics.observe("GET", "/api/v1/status", 200, 0.01)
    metrics.observe("GET", "/api/v1/status", 401, 0.01)

    lines = lines_of(metrics)

    assert 'gateway_requests_total{method="GET",route="/api/v1/status",status="200"} 2.0' in lines
    assert 'gateway_requests_total{method="GET",route="/api/v1/status",status="401"} 1.0' in lines


def test_requests_whose_forwarding_was_not_believed_are_counted_and_known_here() -> None:
    metrics = Metrics()
    before = metrics.forwarded_untrusted
    metrics.count_forwarded_untrusted()
    metrics.count_forwarded_untrusted()

    assert (before, metrics.forwarded_untrusted) == (0, 2)
    assert "gateway_forwarded_untrusted_total 2.0" in lines_of(metrics)


def test_the_time_of_a_request_falls_into_its_bucket() -> None:
    metrics = Metrics()
    metrics.observe("GET", "/api/v1/status", 200, 0.03)

    lines = lines_of(metrics)

    assert 'gateway_request_seconds_bucket{le="0.025",route="/api/v1/status"} 0.0' in lines
    assert 'gateway_request_seconds_bucket{le="0.05",route="/api/v1/status"} 1.0' in lines
    assert 'gateway_request_seconds_count{route="/api/v1/status"} 1.0' in lines


def test_methods_that_callers_invent_share_one_label() -> None:
    metrics = Metrics()
    for number in range(1000):
        metrics.observe(f"INVENTED{number}", "unmatched", 404, 0.001)

    counters = [line for line in lines_of(metrics) if line.startswith("gateway_requests_total")]

    assert counters == ['gateway_requests_total{method="other",route="unmatched",status="404"} 1000.0']


def test_foreign_rows_of_airbytes_are_counted() -> None:
    metrics = Metrics()
    assert "gateway_upstream_identity_mismatch_total 0.0" in lines_of(metrics)

    metrics.count_mismatch(3)

    assert "gateway_upstream_identity_mismatch_total 3.0" in lines_of(metrics)


def test_a_gauge_shows_its_last_value() -> None:
    metrics = Metrics()
    metrics.gauge("in_flight", "Calls to Airbyte.", 3)
    metrics.gauge("in_flight", "Calls to Airbyte.", 1)

    assert [line for line in lines_of(metrics) if line.startswith("gateway_in_flight")] == ["gateway_in_flight 1.0"]


def test_a_figure_that_is_not_known_is_not_shown() -> None:
    metrics = Metrics()
    metrics.gauge("age_seconds", "How old.", 3)
    metrics.gauge("age_seconds", "How old.", None)

    assert not [line for line in lines_of(metrics) if line.startswith("gateway_age")]


def test_clients_beyond_the_first_hundred_share_one_label() -> None:
    metrics = Metrics()
    for number in range(MOST_CLIENTS + 50):
        metrics.observe_client(f"client-{number}", 200)

    counters = [line for line in lines_of(metrics) if line.startswith("gateway_client_requests_total")]

    assert len(counters) == MOST_CLIENTS + 1
    assert 'gateway_client_requests_total{client="(other)",status="200"} 50.0' in counters


def test_two_gateways_in_one_process_count_apart() -> None:
    one, other = Metrics(), Metrics()

    one.observe("GET", "/", 200, 0.001)

    assert not [line for line in lines_of(other) if line.startswith("gateway_requests_total")]
