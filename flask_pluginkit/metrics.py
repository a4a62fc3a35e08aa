"""Calls, faults and times of plugins for Prometheus; needs the extra ``metrics``.

```python
from flask_pluginkit.metrics import metrics_view

app.add_url_rule("/metrics", view_func=metrics_view(manager))
```

Everybody who may open that address learns which plugins there are and how they fail: mount it
where only the monitoring gets to.

**Several workers.** Each worker process counts for itself, and a scrape reaches one of them.
So every sample has a label ``worker``, by default the number of the process: without it the
figures of different workers would look like one counter that jumps. Sum over it
(``sum without (worker) (...)``), and scrape often enough that each worker has its turn within
the five minutes after which Prometheus takes a series for ended. Where workers are replaced
often, give them lasting names (``metrics_view(manager, worker=...)``), or each new one adds
series.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from flask import Response

from .exceptions import MissingExtraError

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from .manager import PluginManager
    from .snapshot import Plugin

PREFIX: Final = "flask_pluginkit"


def metrics_view(manager: PluginManager, *, worker: str | None = None) -> Callable[[], Response]:
    """Return a view that tells the figures of this process in Prometheus' text format.

    Args:
        manager: whose plugins; with several applications, those of the one that is asked.
        worker: the name of this worker in the label of that name; default: the number of the
            process, read at each request, as a view made before a fork serves many.

    Raises:
        MissingExtraError: the package ``prometheus_client`` isn't installed.

    """
    try:
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    except ImportError as error:
        raise MissingExtraError(
            "metrics_view() needs the package prometheus_client: install Flask-PluginKit[metrics]"
        ) from error
    registry = CollectorRegistry()
    registry.register(PluginCollector(manager, worker=worker))

    def pluginkit_metrics() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    return pluginkit_metrics


class PluginCollector:
    """What a registry of ``prometheus_client`` asks, for hosts that have one of their own.

    ``REGISTRY.register(PluginCollector(manager))``; the arguments are those of `metrics_view`.
    """

    def __init__(self, manager: PluginManager, *, worker: str | None = None) -> None:
        self.manager = manager
        self.worker = worker

    def describe(self) -> list[Metric]:
        """Return nothing: a registry that is told the names doesn't collect to learn them."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Return the figures as they are now."""
        from prometheus_client.core import GaugeMetricFamily

        worker = self.worker if self.worker is not None else str(os.getpid())
        snapshot = self.manager.snapshot  # once, so that all figures are of one moment
        generation = GaugeMetricFamily(
            f"{PREFIX}_generation", "The state of plugins that requests see", labels=["worker"]
        )
        generation.add_metric([worker], snapshot.generation)
        yield generation
        yield _statuses(snapshot.plugins, worker)
        yield from _figures(snapshot.plugins, worker)


def _statuses(rows: tuple[Plugin, ...], worker: str) -> Metric:
    from prometheus_client.core import InfoMetricFamily

    statuses = InfoMetricFamily(
        f"{PREFIX}_plugin_status",
        "What became of each plugin: active, disabled, failed, ...",
        labels=["plugin", "worker"],
    )
    for row in rows:
        about = {"version": row.version, "status": row.status.value}
        statuses.add_metric([row.name, worker], about)
    return statuses


def _figures(rows: tuple[Plugin, ...], worker: str) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    labels = ["plugin", "point", "worker"]
    calls = CounterMetricFamily(f"{PREFIX}_calls", "Calls into code of plugins", labels=labels)
    errors = CounterMetricFamily(f"{PREFIX}_errors", "Calls that failed", labels=labels)
    seconds = CounterMetricFamily(f"{PREFIX}_seconds", "Time spent in plugins", labels=labels)
    slowest = GaugeMetricFamily(
        f"{PREFIX}_slowest_seconds", "The longest call since the plugin was loaded", labels=labels
    )
    for row in rows:
        times = row.times
        for point, (count, faults) in row.counts.items():
            total, longest = times.get(point, (0.0, 0.0))
            values = [row.name, point, worker]
            calls.add_metric(values, count)
            errors.add_metric(values, faults)
            seconds.add_metric(values, total)
            slowest.add_metric(values, longest)
    yield from (calls, errors, seconds, slowest)
