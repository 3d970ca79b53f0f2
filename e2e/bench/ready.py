"""`kubectl apply` to first token, beside the bare engine's start to first token.

The bare engine is the same image with the same command, started by containerd on the host's
network with the same weights bound in: no Kubernetes, no probes, no operator. Rounds alternate,
so that a drift of the machine's speed meets both; the medians are compared.
"""

import socket
import statistics
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from e2e.bench.record import Figure, record
from e2e.chat import stream
from e2e.cluster.places import Places
from e2e.cluster.shell import step
from e2e.demo.show import prepare
from e2e.platform import platform
from e2e.space import Space
from e2e.weights import CLAIM, PATH

ROUNDS = 5
NAMESPACE = "modelops-bench"
MODEL = "bench"
PORT = 8000
LONGEST_SECONDS = 300


@dataclass(frozen=True)
class Engine:
    """What the operator runs, to be run without it."""

    image: str
    command: list[str]
    env: list[str]
    weights: Path


def measure() -> None:
    """Measure and record ``ready_overhead_ratio`` on the local cluster."""
    stage = platform()
    prepare(stage, NAMESPACE)
    space = Space(stage, NAMESPACE)
    engine = _engine(space)
    bare, ours = [], []
    for number in range(1, ROUNDS + 1):
        with step(f"round {number} of {ROUNDS}: the bare engine"):
            bare.append(_bare(engine))
        with step(f"round {number} of {ROUNDS}: kubectl apply"):
            ours.append(_ours(space))
    _report(bare, ours)
    stage.kube.run("delete", "namespace", NAMESPACE, "--wait=false")


def _report(bare: list[float], ours: list[float]) -> None:
    base, value = statistics.median(bare), statistics.median(ours)
    pairs = [b / a for a, b in zip(bare, ours, strict=True)]
    spread = {"pair_min": min(pairs), "pair_max": max(pairs), "rounds": float(ROUNDS)}
    record(
        "ready",
        [
            Figure("ready_overhead_ratio", value / base, "ratio", {"bare_engine": 1.0, **spread}),
            Figure("apply_to_first_token", value, "s", {"bare_engine": base}),
        ],
    )


def _engine(space: Space) -> Engine:
    """Return the engine as the operator would run it, and where the claim's files are."""
    space.model(MODEL, scaling={"minReplicas": 0})
    space.until_reason(MODEL, "Idle", 60)
    deployment = space.kube.get("deployment", MODEL, space.name)
    assert deployment is not None
    container: dict[str, Any] = deployment["spec"]["template"]["spec"]["containers"][0]
    space.delete(MODEL)
    return Engine(
        image=container["image"],
        command=container["command"],
        env=[f"{variable['name']}={variable['value']}" for variable in container["env"]],
        weights=_folder(space),
    )


def _folder(space: Space) -> Path:
    claim = space.kube.get("persistentvolumeclaim", CLAIM, space.name)
    assert claim is not None
    volume = space.kube.get("persistentvolume", claim["spec"]["volumeName"], space.name)
    assert volume is not None
    spec = volume["spec"]
    path = (spec.get("hostPath") or spec.get("local"))["path"]
    return Path(path) / PATH


def _ours(space: Space) -> float:
    """Return the seconds from apply to the first token through the model's Service."""
    started = time.monotonic()
    space.model(MODEL)
    seconds = _first_token(_address(space), started)
    space.delete(MODEL)
    return seconds


def _address(space: Space) -> str:
    """Return the Service's own address: the host is a node, and kube-proxy serves it there."""
    while True:
        service = space.kube.get("service", MODEL, space.name)
        if service:
            return f"http://{service['spec']['clusterIP']}"


def _bare(engine: Engine) -> float:
    """Return the seconds from the engine's start to its first token."""
    ctr = ["ctr", "--address", str(Places.of_environment().containerd_socket), "-n", "k8s.io"]
    mounts = [
        f"type=bind,src={engine.weights},dst=/weights/model,options=rbind:ro",
        "type=tmpfs,dst=/tmp,options=mode=1777",
    ]
    options = [
        "--rm", "--net-host",
        *(f"--mount={mount}" for mount in mounts), *(f"--env={item}" for item in engine.env),
    ]  # fmt: skip
    started = time.monotonic()
    with subprocess.Popen(
        [*ctr, "run", *options, engine.image, MODEL, *engine.command], stdout=subprocess.DEVNULL
    ) as process:
        try:
            return _first_token(f"http://127.0.0.1:{PORT}", started, process)
        finally:
            subprocess.run([*ctr, "task", "kill", "-s", "SIGKILL", MODEL], check=False)
            process.wait(60)


def _first_token(
    url: str, started: float, engine: "subprocess.Popen[bytes] | None" = None
) -> float:
    """Return the seconds until a token came; ends early when the engine does.

    Until something listens only a connection is tried: whole requests would take CPU from the
    engine that is being measured.
    """
    while time.monotonic() - started < LONGEST_SECONDS and not (engine and engine.poll()):
        if not _listens(url):
            time.sleep(0.01)
            continue
        with suppress(httpx.HTTPError, StopIteration):
            next(stream(url, MODEL, "Hello", max_tokens=4))
            return time.monotonic() - started
    message = f"no token from {url} within {time.monotonic() - started:.0f} s"
    raise TimeoutError(message)


def _listens(url: str) -> bool:
    address = urlsplit(url)
    try:
        with socket.create_connection((address.hostname or "", address.port or 80), timeout=5):
            return True
    except OSError:
        return False
