"""Serve `/metrics` in the text format of Prometheus, from one look at the stores; it answers 200 without them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from falcon.asgi import Request, Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from common.queue.tallies import BUCKETS
from common.telemetry import metrics
from ingest.observed import Look, Observed
from ingest.traffic import Traffic

Tallies = Iterable[tuple[str, dict[str, str], float]]


class MetricsResource:
    """GET /metrics."""

    access = "operator"

    def __init__(self, *, observed: Observed, traffic: Traffic) -> None:
        self._observed, self._traffic = observed, traffic

    async def on_get(self, _req: Request, resp: Response) -> None:
        """Answer with what was seen and with what this process served."""
        registry = CollectorRegistry()
        registry.register(_Seen(await self._observed.look()))
        resp.data = generate_latest(registry) + generate_latest(self._traffic.registry)
        resp.context.own.append(("Content-Type", CONTENT_TYPE_PLAIN_0_0_4))

    on_head = on_get


class _Seen(Collector):
    def __init__(self, look: Look) -> None:
        self._look = look

    def collect(self) -> Iterator[Family]:
        """Yield a family for each part that could be had."""
        look = self._look
        yield _gauge(metrics.REDIS_UP, [((), float(look.redis_up))])
        yield _gauge(metrics.MONGODB_UP, [((), float(look.mongodb_up))])
        depths = [
            ((one.queue, state), float(getattr(one, state)))
            for one in look.depths or ()
            for state in ("waiting", "in_flight", "delayed", "dead")
        ]
        depths += [(("rerender", state), float(n)) for state, n in (look.rerenders or {}).items()]
        if depths:
            yield _gauge(metrics.QUEUE_DEPTH, depths)
        yield _gauge(metrics.QUEUE_OLDEST, [((name,), age or 0.0) for name, age in look.oldest.items()])
        if look.states is not None:
            yield _gauge(metrics.BY_STATE, [((state,), float(n)) for state, n in look.states.items()])
        if look.groups is not None:
            yield _gauge(metrics.GROUPS_BY_STATE, [((state,), float(n)) for state, n in look.groups.items()])
        if look.workers is not None:
            alive: dict[str, int] = defaultdict(int)
            for one in look.workers:
                alive[one.process] += 1
            yield _gauge(metrics.WORKERS, [((name,), float(n)) for name, n in alive.items()])
        if look.usages is not None:
            for metric, name in (
                (metrics.CALLS_USED, "used"),
                (metrics.CALLS_LIMIT, "limit"),
                (metrics.CALLS_OURS, "ours"),
            ):
                yield _gauge(
                    metric, [((one,), float(getattr(usage, name))) for one, usage in look.usages.items()]
                )
        if look.closed_gates is not None:
            yield _gauge(metrics.GATE_CLOSED, [(one, 1.0) for one in look.closed_gates.items()])
        if look.tallies is not None:
            yield from _stages(look.tallies)
            yield from _counters(look.tallies)


def _gauge(metric: metrics.Metric, values: Iterable[tuple[tuple[str, ...], float]]) -> Family:
    family = GaugeMetricFamily(metric.name, metric.sentence, labels=metric.labels)
    for labels, value in values:
        family.add_metric(labels, value)
    return family


def _stages(tallies: Tallies) -> Iterator[Family]:
    """Make the histogram: workers tally each duration in one bucket, Prometheus wants them summed upwards.

    A duration is tallied when a claim ends, so their number is that of the deliveries.
    """
    counts: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    sums: dict[tuple[str, str], float] = defaultdict(float)
    for name, labels, value in tallies:
        key = labels.get("stage", ""), labels.get("outcome", "")
        if name == metrics.STAGE_BUCKET:
            counts[key][labels.get("le", "+Inf")] = value
        elif name == metrics.STAGE_SUM:
            sums[key] = value
    family = HistogramMetricFamily(
        metrics.STAGE_SECONDS.name, metrics.STAGE_SECONDS.sentence, labels=metrics.STAGE_SECONDS.labels
    )
    deliveries = CounterMetricFamily(
        metrics.DELIVERIES.name, metrics.DELIVERIES.sentence, labels=metrics.DELIVERIES.labels
    )
    for key, found in sorted(counts.items()):
        total = 0.0
        buckets: list[tuple[str, float]] = []
        for bound in (*(f"{bound:g}" for bound in BUCKETS), "+Inf"):
            total += found.get(bound, 0.0)
            buckets.append((bound, total))
        family.add_metric(key, buckets, sums[key])
        deliveries.add_metric(key, total)
    yield family
    yield deliveries


def _counters(tallies: Tallies) -> Iterator[Family]:
    for short, metric in metrics.TALLIES.items():
        values: dict[tuple[str, ...], float] = defaultdict(float)
        for name, labels, value in tallies:
            if name == short:
                values[tuple(labels.get(label, "") for label in metric.labels)] += value
        family = CounterMetricFamily(metric.name, metric.sentence, labels=metric.labels)
        for labels_of_one, value in values.items():
            family.add_metric(labels_of_one, value)
        yield family
