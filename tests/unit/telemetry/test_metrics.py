"""Metrics of one process."""

from aspora.telemetry.metrics import Metrics
from aspora.telemetry.names import HTTP_REQUESTS, HTTP_SECONDS, HTTP_STREAMS


def test_a_metric_is_made_once_and_printed() -> None:
    metrics = Metrics()
    metrics.counter(HTTP_REQUESTS).labels("GET", "/x", "200").inc()
    metrics.counter(HTTP_REQUESTS).labels("GET", "/x", "200").inc()
    metrics.gauge(HTTP_STREAMS).set_function(lambda: 3)
    metrics.histogram(HTTP_SECONDS).labels("GET", "/x").observe(0.003)
    text = metrics.render().decode()
    assert 'aspora_http_requests_total{code="200",method="GET",route="/x"} 2.0' in text
    assert "aspora_http_open_streams 3.0" in text
    assert 'aspora_http_request_seconds_bucket{le="0.005",method="GET",route="/x"} 1.0' in text


def test_two_processes_parts_do_not_share() -> None:
    Metrics().counter(HTTP_REQUESTS).labels("GET", "/x", "200").inc()
    assert b"{code" not in Metrics().render()
