"""KEDA's protocol for external scalers: what KEDA and its HPA are told of a model, over gRPC."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import grpc
import grpc.aio

from modelops.gateway.demand.book import Book, Entry
from modelops.gateway.demand.externalscaler_pb2 import (
    GetMetricSpecResponse,
    GetMetricsRequest,
    GetMetricsResponse,
    IsActiveResponse,
    MetricSpec,
    MetricValue,
    ScaledObjectRef,
)

SERVICE: Final = "externalscaler.ExternalScaler"
METRIC: Final = "replicas"
"""The one metric: its value is how many replicas there are to be, of which each is one."""

LARGEST: Final = 64 * 1024
"""Bytes of a question; real ones have some hundreds."""

OPTIONS: Final = (
    ("grpc.max_receive_message_length", LARGEST),
    # A KEDA that starts opens a stream for each model at once, over one connection.
    ("grpc.server.max_pending_requests", 10_000),
    ("grpc.server.max_pending_requests_hard_limit", 20_000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
)


@dataclass(frozen=True, slots=True)
class Scaler:
    """Answers from the book; refuses with a status where it knows nothing, so that KEDA holds."""

    book: Book

    async def is_active(self, asked: ScaledObjectRef, context: Any) -> IsActiveResponse:
        """Tell whether the model is to have any replica."""
        entry = await self._entry(asked, context)
        return IsActiveResponse(result=entry.active)

    async def stream_is_active(
        self, asked: ScaledObjectRef, context: Any
    ) -> AsyncIterator[IsActiveResponse]:
        """Tell the same now and whenever it changes, until the model is gone."""
        name = await _name(asked, context)
        with self.book.news(name) as news:
            told: bool | None = None
            while True:
                news.clear()
                entry = await self._entry(asked, context)
                if entry.active is not told:
                    told = entry.active
                    yield IsActiveResponse(result=told)
                await news.wait()

    async def metric_spec(self, asked: ScaledObjectRef, context: Any) -> GetMetricSpecResponse:
        """Tell what the metric is called, and that a replica stands for one of it."""
        await self._known(asked, context)
        spec = MetricSpec(metricName=METRIC, targetSize=1, targetSizeFloat=1)
        return GetMetricSpecResponse(metricSpecs=[spec])

    async def metrics(self, asked: GetMetricsRequest, context: Any) -> GetMetricsResponse:
        """Tell how many replicas the model is to have."""
        entry = await self._entry(asked.scaledObjectRef, context)
        if asked.metricName != METRIC:
            words = f"no metric {asked.metricName[:64]!r}: there is one, {METRIC}"
            await _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, words)
        count = entry.decision.replicas
        value = MetricValue(metricName=METRIC, metricValue=count, metricValueFloat=count)
        return GetMetricsResponse(metricValues=[value])

    async def _entry(self, asked: ScaledObjectRef, context: Any) -> Entry:
        name = await self._known(asked, context)
        entry = self.book.fresh(name, time.time())
        if entry is None:
            words = f"nothing was decided about {name} lately: ask again in a second"
            await _refuse(context, grpc.StatusCode.UNAVAILABLE, words)
        return entry

    async def _known(self, asked: ScaledObjectRef, context: Any) -> str:
        name = await _name(asked, context)
        if self.book.scaled is None:
            words = "the models are not known yet: ask again in a second"
            await _refuse(context, grpc.StatusCode.UNAVAILABLE, words)
        if name not in self.book.scaled:
            words = f"{name} does not exist, is paused, or has one possible number of replicas"
            await _refuse(context, grpc.StatusCode.NOT_FOUND, words)
        self.book.question(name)
        return name

    @asynccontextmanager
    async def serve(self, port: int, address: str = "0.0.0.0") -> AsyncIterator[int]:
        """Listen, on any free port for 0; give the port."""
        server = grpc.aio.server(options=OPTIONS)
        handler = grpc.method_handlers_generic_handler(SERVICE, self._methods())
        server.add_generic_rpc_handlers((handler,))
        bound = server.add_insecure_port(f"{address}:{port}")
        await server.start()
        try:
            yield bound
        finally:
            await server.stop(grace=None)

    def _methods(self) -> dict[str, Any]:
        one, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        reference = ScaledObjectRef
        return {
            "IsActive": _method(one, self.is_active, reference, IsActiveResponse),
            "StreamIsActive": _method(stream, self.stream_is_active, reference, IsActiveResponse),
            "GetMetricSpec": _method(one, self.metric_spec, reference, GetMetricSpecResponse),
            "GetMetrics": _method(one, self.metrics, GetMetricsRequest, GetMetricsResponse),
        }


def _method(kind: Any, answer: Any, asked: Any, answered: Any) -> Any:
    return kind(
        answer,
        request_deserializer=asked.FromString,
        response_serializer=answered.SerializeToString,
    )


async def _name(asked: ScaledObjectRef, context: Any) -> str:
    """Return the model that is asked about: one of the asking object's own namespace."""
    name = str(asked.scalerMetadata.get("model", ""))
    namespace, slash, model = name.partition("/")
    if not (namespace and slash and model) or len(name) > 512:
        words = "the trigger's metadata names no model: write `model: NAMESPACE/NAME`"
        await _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, words)
    if namespace != asked.namespace:
        words = f"a ScaledObject in {asked.namespace[:64]!r} may not ask about another namespace"
        await _refuse(context, grpc.StatusCode.PERMISSION_DENIED, words)
    return name


async def _refuse(context: Any, code: grpc.StatusCode, words: str) -> NoReturn:
    await context.abort(code, words)
    raise AssertionError(words)
