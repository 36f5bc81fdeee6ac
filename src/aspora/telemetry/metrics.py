"""Metrics of one process: declared by name, made once, printed for Prometheus."""

from typing import cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics import MetricWrapperBase

from aspora.telemetry.names import LATENCY_BUCKETS_SECONDS, MetricName

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """A registry of its own, so that two processes' parts in one test never share a counter."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._made: dict[str, MetricWrapperBase] = {}

    def counter(self, name: MetricName) -> Counter:
        """The counter of that name; the same one at each call."""
        made = self._made.get(name.name) or self._keep(Counter(name.name, name.help, name.labels, registry=None), name)
        return cast("Counter", made)

    def gauge(self, name: MetricName) -> Gauge:
        """The gauge of that name; the same one at each call."""
        made = self._made.get(name.name) or self._keep(Gauge(name.name, name.help, name.labels, registry=None), name)
        return cast("Gauge", made)

    def histogram(self, name: MetricName, *, buckets_seconds: tuple[float, ...] = LATENCY_BUCKETS_SECONDS) -> Histogram:
        """The histogram of that name; the same one at each call, with the buckets of the first."""
        made = self._made.get(name.name) or self._keep(
            Histogram(name.name, name.help, name.labels, registry=None, buckets=buckets_seconds), name
        )
        return cast("Histogram", made)

    def _keep(self, metric: MetricWrapperBase, name: MetricName) -> MetricWrapperBase:
        self._registry.register(metric)
        self._made[name.name] = metric
        return metric

    def render(self) -> bytes:
        """All metrics in Prometheus' text form (`CONTENT_TYPE`)."""
        return generate_latest(self._registry)
