"""A collector gets the control process's metrics as OpenTelemetry names them."""

import asyncio
from math import nan

from prometheus_client import CollectorRegistry, Histogram

from beside import beside
from gateway.collector import collector
from gateway.conftest import model
from gateway.engine import Engine
from gateway.proxy import Gateway, until
from gateway.test_meter import CHATS, asked, labels, samples
from gateway.test_usage import stream
from modelops.gateway.counters import Series
from modelops.gateway.genai import GenAi
from modelops.gateway.metrics import Metrics
from modelops.gateway.otlp import Exporter


def exported(registry: CollectorRegistry) -> dict[str, object]:
    """Return what a collector takes of a registry, by name."""
    with collector() as collecting:

        async def export() -> dict[str, object]:
            url = f"http://127.0.0.1:{collecting.port}"
            async with beside(Exporter(url, registry, 0.01).run()):
                return {**await asyncio.to_thread(collecting.metrics)}

        return asyncio.run(export())


def attributes(point: object) -> dict[str, str]:
    """Return a point's attributes."""
    return {each.key: each.value.string_value for each in point.attributes}


def test_what_envoy_measured_arrives_in_seconds(front: Gateway, fake: Engine) -> None:
    """Times have the conventions' names, units and attributes, and the counts that Envoy has."""
    name = "exported"
    front.serve(models=(model(name, fake.port),))
    registry = CollectorRegistry()
    registry.register(GenAi(asked(front)))
    with front.client(front.key("*")) as client:
        until(lambda: client.get(f"/v1/models/{name}").status_code == 200, 5)
        for _ in range(3):
            client.post(CHATS, json=stream(["data: {}"]) | {"model": name})
    count = ("gen_ai_server_request_duration_seconds_count", labels("chat", name))
    until(lambda: samples(registry).get(count) == 3, 15)
    found = exported(registry)
    for metric in ("request.duration", "time_to_first_token", "time_per_output_token"):
        told = found[f"gen_ai.server.{metric}"]
        assert told.unit == "s"
        (point,) = (p for p in told.histogram.data_points if name in attributes(p).values())
        assert attributes(point) == {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "modelops",
            "gen_ai.request.model": name,
        }
        assert (point.count, sum(point.bucket_counts)) == (3, 3)
        assert 0 <= point.sum < 5
        assert len(point.bucket_counts) == len(point.explicit_bounds) + 1


def test_counts_and_gauges_arrive() -> None:
    """Counters are monotonic sums, gauges are gauges, and buckets hold each value once."""
    metrics = Metrics.create()
    metrics.models.set(4)
    metrics.count_usage({Series("input_tokens", "acme", "k", "m", CHATS): 7})
    spread = Histogram("h", "Spread.", buckets=(1, 2, 4), registry=metrics.registry)
    for value in (0.5, 1.5, 1.6, 9):
        spread.observe(value)
    found = exported(metrics.registry)
    (gauge,) = found["modelops_gateway_models"].gauge.data_points
    assert gauge.as_double == 4
    tokens = found["modelops_gateway_tokens"].sum
    assert tokens.is_monotonic
    assert [(p.as_double, attributes(p)["tenant"]) for p in tokens.data_points] == [(7, "acme")]
    (told,) = found["h"].histogram.data_points
    assert [*told.explicit_bounds] == [1, 2, 4]
    assert [*told.bucket_counts] == [1, 2, 0, 1]


def test_what_has_no_number_is_left_out() -> None:
    """Without Redis nothing tells whether it answers, and all else arrives."""
    metrics = Metrics.create()
    metrics.redis_up.set(nan)
    metrics.models.set(4)
    found = exported(metrics.registry)
    assert not found["modelops_gateway_redis_up"].gauge.data_points
    (gauge,) = found["modelops_gateway_models"].gauge.data_points
    assert gauge.as_double == 4


def test_a_collector_that_is_away_ends_nothing() -> None:
    """Exports go on failing, and the control process goes on."""

    async def story() -> None:
        async with beside(Exporter("http://127.0.0.1:1", CollectorRegistry(), 0.001).run()):
            await asyncio.sleep(0.2)

    asyncio.run(story())
