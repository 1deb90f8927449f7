"""Prometheus figures of the API process."""

import time
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from config import metric_names
from config.metric_names import Metric

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """Requests and recovery, each process with a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = self._counter(metric_names.REQUESTS)
        self._seconds = Histogram(
            metric_names.REQUEST_SECONDS.name,
            metric_names.REQUEST_SECONDS.says,
            metric_names.REQUEST_SECONDS.labels,
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._recovered = self._counter(metric_names.RECOVERED)
        self._sweep_failures = self._counter(metric_names.SWEEP_FAILURES)
        self._places = self._gauge(metric_names.PLACES)
        self._feed_lag = self._gauge(metric_names.FEED_LAG)
        self._feed_live = self._gauge(metric_names.FEED_LIVE)

    def _counter(self, metric: Metric) -> Counter:
        return Counter(metric.name, metric.says, metric.labels, registry=self._registry)

    def _gauge(self, metric: Metric) -> Gauge:
        return Gauge(metric.name, metric.says, metric.labels, registry=self._registry)

    def feeds_seen(self, streams: Mapping[str, Mapping[str, str]]) -> None:
        """What the mirror says of the connections of each broker's feed, in place of what it said before."""
        self._feed_lag.clear()
        self._feed_live.clear()
        for broker, fields in streams.items():
            for name, text in fields.items():
                connection, _, what = name.partition(".")
                if what == "feed":
                    self._feed_live.labels(broker, connection).set(text == "live")
                elif what == "feed_lag_ms" and text:
                    self._feed_lag.labels(broker, connection).set(int(text) / 1000)

    def request_served(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request, by its route's template and never by its path."""
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(method, route).observe(seconds)

    def sweep_done(self, recovered: int, failed: int) -> None:
        """Count what a recovery sweep did."""
        self._recovered.inc(recovered)
        self._sweep_failures.inc(failed)

    def places(self, used: Mapping[str, int], limits: Mapping[str, int]) -> None:
        """What is taken of the deployment, and the most that may be."""
        for of, count in used.items():
            self._places.labels(of, "used").set(count)
        for of, count in limits.items():
            self._places.labels(of, "limit").set(count)

    def text(self) -> bytes:
        """The figures in Prometheus' text format."""
        return generate_latest(self._registry)


class MetricsMiddleware:
    """Times every HTTP request."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def send_noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_noting_status)
        finally:
            route = getattr(scope.get("route"), "path_format", "none")
            self._metrics.request_served(scope["method"], route, status, time.perf_counter() - started)
