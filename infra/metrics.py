"""The registry of a process's metrics (OpenMetrics names, units in the name, no case ids in labels)."""

from prometheus_client import CollectorRegistry, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()  # not the default one: the figures of writer and reader are shown on one page
