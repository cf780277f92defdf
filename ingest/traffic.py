"""Count what this web process answers, for its own page of metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from common.telemetry import metrics

# llhttp lets more through, and a label must not grow with what strangers think up.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})


class Traffic:
    """Requests by method, route template and status, and how long they took."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            metrics.HTTP_REQUESTS.name,
            metrics.HTTP_REQUESTS.sentence,
            metrics.HTTP_REQUESTS.labels,
            registry=self.registry,
        )
        self._seconds = Histogram(
            metrics.HTTP_SECONDS.name,
            metrics.HTTP_SECONDS.sentence,
            metrics.HTTP_SECONDS.labels,
            registry=self.registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0),
        )

        self._series: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def saw(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer."""
        series = self._series.get((method, route, status))
        if series is None:
            known = method if method in _METHODS else "other"
            series = (self._requests.labels(known, route, str(status)), self._seconds.labels(known, route))
            if known == method:  # others are a stranger's to invent
                self._series[method, route, status] = series
        counter, histogram = series
        counter.inc()
        histogram.observe(seconds)
