"""Spans: one for each request that is traced, sent to an OpenTelemetry collector."""

from typing import Final

from modelops.gateway.access import CALLER
from modelops.gateway.snapshot import Collector
from modelops.gateway.typed import Json, extension, metadata
from modelops.gateway.usage import TOKENS

CLUSTER: Final = "collector"
SERVICE: Final = "modelops-gateway"


def tracing(collector: Collector) -> Json:
    """Return how requests are traced: as their callers say, and of the others a part."""
    uri = {
        "uri": f"http://{collector.host}:{collector.port}/v1/traces",
        "cluster": CLUSTER,
        "timeout": "5s",
    }
    provider = extension(
        "opentelemetry",
        "envoy.config.trace.v3.OpenTelemetryConfig",
        http_service={"http_uri": uri},
        service_name=SERVICE,
        sampler=_sampler(collector.percent),
    )
    return {
        "provider": provider,
        "operation": "%REQ(:METHOD)% %PATH(NQ)%",
        "custom_tags": [
            {"tag": "gen_ai.request.model", "value": "%ROUTE_NAME%"},
            {"tag": "gen_ai.provider.name", "literal": {"value": "modelops"}},
            _told("gen_ai.usage.input_tokens", TOKENS, "input"),
            _told("gen_ai.usage.output_tokens", TOKENS, "output"),
            _told("modelops.tenant", CALLER, "tenant"),
            _told("modelops.key", CALLER, "key"),
        ],
    }


def _sampler(percent: float) -> Json:
    samplers = "envoy.extensions.tracers.opentelemetry.samplers.v3"
    numerator = round(percent * 10_000)
    ratio = extension(
        "ratio",
        f"{samplers}.TraceIdRatioBasedSamplerConfig",
        sampling_percentage={"numerator": numerator, "denominator": "MILLION"},
    )
    return extension("parent", f"{samplers}.ParentBasedSamplerConfig", wrapped_sampler=ratio)


def _told(tag: str, namespace: str, *path: str) -> Json:
    where = metadata(namespace, *path)
    key = {"key": where["filter"], "path": where["path"]}
    return {"tag": tag, "metadata": {"kind": {"request": {}}, "metadata_key": key}}


def cluster(collector: Collector) -> Json:
    """Return where the collector is; nobody waits until its name has been looked up."""
    address = {"socket_address": {"address": collector.host, "port_value": collector.port}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    return {
        "name": CLUSTER,
        "type": "STRICT_DNS",
        "dns_lookup_family": "V4_PREFERRED",
        "wait_for_warm_on_init": False,
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": CLUSTER, "endpoints": endpoints},
    }
