"""The gateway's control process, alone with an API server: what it tells of a model that scales."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from e2e.cluster.apiserver import ControlPlane
from integration.api import Api
from integration.conftest import text_model
from integration.process import eventually, free_port
from modelops.gateway.demand.externalscaler_pb2 import (
    GetMetricsRequest,
    GetMetricsResponse,
    ScaledObjectRef,
)

PORTS = ("ADMIN", "METRICS", "LIMITER", "SCALER", "DEMAND", "ACTIVATOR")


@contextmanager
def gateway(control_plane: ControlPlane, namespace: str, folder: Path) -> Iterator[dict[str, int]]:
    """Run a control process without Envoy; give its ports, and see it end when it is told to."""
    ports = {name: free_port() for name in PORTS}
    known = {f"MODELOPS_GATEWAY_{name}_PORT": str(port) for name, port in ports.items()}
    known |= {
        "KUBECONFIG": str(control_plane.kubeconfig),
        "MODELOPS_GATEWAY_FOLDER": str(folder),
        "MODELOPS_GATEWAY_NAMESPACES": namespace,
        "MODELOPS_GATEWAY_SYSTEM_NAMESPACE": namespace,
        "MODELOPS_GATEWAY_BIND_ADDRESS": "127.0.0.1",
    }
    command = [sys.executable, "-m", "modelops.gateway.main"]
    with subprocess.Popen(command, env=os.environ | known) as process:
        try:
            yield ports
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()


def metric(port: int, namespace: str) -> float:
    """Return what KEDA is told of the model chat."""
    reference = ScaledObjectRef(
        name="chat", namespace=namespace, scalerMetadata={"model": f"{namespace}/chat"}
    )
    asked = GetMetricsRequest(scaledObjectRef=reference, metricName="replicas")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(
            "/externalscaler.ExternalScaler/GetMetrics",
            request_serializer=GetMetricsRequest.SerializeToString,
            response_deserializer=GetMetricsResponse.FromString,
        )
        (value,) = call(asked, timeout=10).metricValues
    return float(value.metricValueFloat)


@pytest.mark.integration
def test_without_an_envoy_what_is_asked_for_stays(
    control_plane: ControlPlane, api: Api, namespace: str, tmp_path: Path
) -> None:
    """The model's ask is held, in every place where it is told, and follows the object."""
    scaling: dict[str, Any] = {"minReplicas": 0, "maxReplicas": 4, "replicas": 3}
    api.create(text_model(namespace, scaling=scaling))
    name = f"{namespace}/chat"
    with gateway(control_plane, namespace, tmp_path) as ports:
        url = f"http://127.0.0.1:{ports['DEMAND']}/decisions"
        told = eventually(lambda: decisions(url).get(name), what="a decision")
        assert (told["replicas"], told["metric"], told["active"]) == (3, "missing", True)
        assert metric(ports["SCALER"], namespace) == 3
        page = httpx.get(f"http://127.0.0.1:{ports['METRICS']}/metrics", trust_env=False).text
        labels = f'model="chat",model_namespace="{namespace}"'
        for line in (f"replicas{{{labels}}} 3.0", f"blind{{{labels}}} 1.0"):
            assert f"modelops_gateway_scaling_{line}" in page
        api.delete("TextModel", namespace, "chat")
        eventually(lambda: name not in decisions(url), what="the decision goes with its model")


def decisions(url: str) -> dict[str, Any]:
    """Return all decisions; none while nobody answers."""
    try:
        found: dict[str, Any] = httpx.get(url, trust_env=False).json()["models"]
    except httpx.TransportError:
        return {}
    return found
