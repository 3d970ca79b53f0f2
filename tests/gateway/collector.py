"""An OpenTelemetry collector: it takes OTLP over HTTP and keeps what it got.

The messages are those that xds-protos brings, which are of a time when scopes were called
instrumentation libraries: the same fields by other names.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Queue

from aiohttp import web
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, ResourceMetrics
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

SCOPE_METRICS = ResourceMetrics.DESCRIPTOR.fields_by_number[2]
SCOPE_SPANS = ResourceSpans.DESCRIPTOR.fields_by_number[2]
SCOPE = SCOPE_METRICS.message_type.fields_by_number[1]


@dataclass
class Collecting:
    """A running collector: its port, and the bodies it got, by path."""

    port: int = 0
    got: dict[str, Queue[bytes]] = field(
        default_factory=lambda: {"/v1/traces": Queue(), "/v1/metrics": Queue()}
    )

    async def take(self, request: web.Request) -> web.Response:
        """Keep the body."""
        self.got[request.path].put(await request.read())
        return web.Response()

    def metrics(self) -> dict[str, Metric]:
        """Wait for the next metrics and return them by name."""
        text = self.got["/v1/metrics"].get(timeout=15).decode()
        for now, then in (("scopeMetrics", SCOPE_METRICS.json_name), ("scope", SCOPE.json_name)):
            text = text.replace(f'"{now}"', f'"{then}"')
        told = json_format.Parse(text, ExportMetricsServiceRequest()).resource_metrics
        return {
            metric.name: metric
            for each in told
            for scope in getattr(each, SCOPE_METRICS.name)
            for metric in scope.metrics
        }

    def spans(self) -> list[Span]:
        """Wait for the next spans and return them."""
        body = self.got["/v1/traces"].get(timeout=15)
        told = ExportTraceServiceRequest.FromString(body).resource_spans
        return [
            span
            for each in told
            for scope in getattr(each, SCOPE_SPANS.name)
            for span in scope.spans
        ]


@contextmanager
def collector() -> Iterator[Collecting]:
    """Run a collector on loopback."""
    collecting, loop = Collecting(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    app = web.Application()
    app.add_routes([web.post(path, collecting.take) for path in collecting.got])
    runner = web.AppRunner(app, shutdown_timeout=0.1)

    async def start() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        collecting.port = runner.addresses[0][1]

    try:
        asyncio.run_coroutine_threadsafe(start(), loop).result(10)
        yield collecting
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
