"""Every metric's name, help and labels, in one place, so that dashboards have one page to read.

Labels have few values by construction: route templates, never paths; reasons, never messages.
"""

from dataclasses import dataclass

LATENCY_BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True)
class MetricName:
    """A metric as declared.

    Attributes:
        name: With its unit as suffix, as Prometheus wants it.
        help: One sentence.
        labels: In the order in which values are given.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()


HTTP_REQUESTS = MetricName("aspora_http_requests_total", "Requests answered.", ("method", "route", "code"))
HTTP_SECONDS = MetricName("aspora_http_request_seconds", "From the request to the answer's start.", ("method", "route"))
HTTP_STREAMS = MetricName("aspora_http_open_streams", "Watches and followed logs that are open now.")
OBJECT_WRITES = MetricName("aspora_object_writes_total", "Writes of objects by outcome.", ("kind", "verb", "reason"))
ADMISSION_SECONDS = MetricName("aspora_admission_seconds", "Time in the admission chain.", ("kind",))
VIEW_AGE_SECONDS = MetricName("aspora_view_age_seconds", "Age of the oldest in-memory view of a kind.")
VIEW_REREADS = MetricName("aspora_view_rereads_total", "Reads that a stale view passed on to the database.", ("kind",))
BUDGET_THRESHOLDS = MetricName(
    "aspora_budget_thresholds_total", "Shares of a budget that were passed, in percent.", ("scope", "percent")
)
CACHE_HITS = MetricName("aspora_cache_hits_total", "Asked for and there.", ("cache",))
CACHE_MISSES = MetricName("aspora_cache_misses_total", "Asked for and not there.", ("cache",))
CACHE_EVICTIONS = MetricName("aspora_cache_evictions_total", "Let go to make room.", ("cache",))
CACHE_FAILURES = MetricName(
    "aspora_cache_failures_total", "Asked in vain: out of reach, or an answer that was not what its digest names.",
    ("cache", "reason"),
)  # fmt: skip
CACHE_ENTRIES = MetricName("aspora_cache_entries", "What it holds.", ("cache",))
CACHE_BYTES = MetricName("aspora_cache_bytes", "How large what it holds is.", ("cache",))
MODEL_CALLS = MetricName(
    "aspora_model_calls_total", "Requests to upstreams by outcome.", ("provider", "model", "outcome")
)
MODEL_COST = MetricName(
    "aspora_model_cost_micro_usd_total", "What they cost, as booked when they ended.", ("provider", "model")
)
MODEL_SECONDS = MetricName("aspora_model_call_seconds", "From sending to the last byte.", ("provider", "model"))
MODEL_CIRCUIT_OPEN = MetricName(
    "aspora_model_circuit_open", "1 while an upstream is left alone for its faults, or probed; else 0.", ("provider",)
)
