"""Everything that runs at once: the fake engine, the rivals, and the gateway as in a cluster.

The gateway is Envoy and its control process with a real API server. It has a key with a limit,
a hundred models, and counts tokens.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from e2e.bench.gateway.fleet import Fleet
from e2e.bench.gateway.process import Process, Sides, free_port, listening, running
from e2e.bench.gateway.proxies import RIVALS, Make, Recipe, envoy_command
from e2e.bench.gateway.traffic import Target, answered, program
from e2e.cluster import rust
from e2e.cluster.apiserver import ControlPlane
from e2e.cluster.shell import ClusterError, run, say, step

OURS = "modelops"
PORTS = (
    "PORT", "ADMIN_PORT", "ENVOY_METRICS_PORT", "METRICS_PORT", "LIMITER_PORT", "SCALER_PORT",
    "DEMAND_PORT", "ACTIVATOR_PORT",
)  # fmt: skip
"""The settings of the control process that are ports."""

MODELS = 100
NETWORK = "198.18.255.240/29"
HOSTS = tuple(f"198.18.255.{number}" for number in range(241, 246))
"""Replicas' addresses, for the API server takes none of 127.0.0.0/8; on the loopback device."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A proxy that runs, and how clients reach it; without a process it is the engine itself."""

    process: Process | None
    target: Target


@dataclass(frozen=True, slots=True)
class Stage:
    """All that runs; `missing` says which rivals do not, and why."""

    sides: Sides
    seats: Mapping[str, Seat]
    missing: Mapping[str, str]
    fleet: Fleet
    control: Process


@contextmanager
def stage(sides: Sides) -> Iterator[Stage]:
    """Start everything; it is gone with the context."""
    with ExitStack() as stack, TemporaryDirectory(prefix="bench-") as name:
        folder, port = Path(name), free_port()
        stack.enter_context(addresses())
        replicas = [f"{host}:{port}" for host in HOSTS]
        listens = ",".join([f"127.0.0.1:{port}", *replicas])
        command: list[str | Path] = [program(), "engine", f"-listen={listens}"]
        engine = running(command, sides.rest, folder / "engine.log")
        listening(stack.enter_context(engine), port)
        missing: dict[str, str] = {}
        seats = {"engine": Seat(None, Target(port))}
        for rival, make in RIVALS.items():
            try:
                seats[rival] = _rival(stack, folder / rival, make, replicas[0], sides)
            except ClusterError as error:
                missing[rival] = str(error)
                say(f"{rival} is not measured: {error}")
        with step("starting the gateway"):
            seat, fleet, control = _gateway(stack, folder / OURS, replicas, sides)
        seats[OURS] = seat
        yield Stage(sides, seats, missing, fleet, control)


@contextmanager
def addresses() -> Iterator[None]:
    """Have the addresses of replicas while the context lasts."""
    run("ip", "address", "replace", NETWORK, "dev", "lo")
    try:
        yield
    finally:
        run("ip", "address", "delete", NETWORK, "dev", "lo")


def _rival(stack: ExitStack, folder: Path, make: Make, engine: str, sides: Sides) -> Seat:
    folder.mkdir()
    recipe = make(folder, free_port(), engine)
    return _seated(stack, folder, recipe, sides)


def _seated(stack: ExitStack, folder: Path, recipe: Recipe, sides: Sides) -> Seat:
    log = folder / "log"
    process = stack.enter_context(running(recipe.command, sides.proxy, log, recipe.env))
    listening(process, recipe.target.port)
    answered(recipe.target)
    return Seat(process, recipe.target)


def _gateway(
    stack: ExitStack, folder: Path, replicas: list[str], sides: Sides
) -> tuple[Seat, Fleet, Process]:
    api = stack.enter_context(ControlPlane.create())
    fleet = Fleet(api.kubeconfig, replicas)
    key = fleet.begin()
    names = tuple(f"model-{number:04}" for number in range(MODELS))
    # One replica each, as bare Envoy has one: how many connections there are is not the question.
    replace(fleet, replicas=replicas[:1]).add(names)
    seat, control = gateway(stack, folder, api.kubeconfig, (key, names), sides)
    return seat, fleet, control


def gateway(
    stack: ExitStack,
    folder: Path,
    kubeconfig: Path,
    known: tuple[str, tuple[str, ...]],
    sides: Sides,
) -> tuple[Seat, Process]:
    """Start Envoy and its control process; `known` are an API key and the models that it opens."""
    config = folder / "config"
    config.mkdir(parents=True)
    ports = {name: free_port() for name in PORTS}
    env = {
        "KUBECONFIG": str(kubeconfig),
        "MODELOPS_GATEWAY_FOLDER": str(config),
        "MODELOPS_GATEWAY_PEERS": "",
        **{f"MODELOPS_GATEWAY_{name}": str(port) for name, port in ports.items()},
    }
    command = [sys.executable, "-m", "e2e.bench.gateway.control"]
    control = stack.enter_context(running(command, sides.rest, folder / "control.log", env))
    bootstrap = config / "bootstrap.json"
    listening(control, ports["METRICS_PORT"])
    control.until(bootstrap.exists)
    target = Target(ports["PORT"], *known)
    recipe = Recipe(envoy_command(bootstrap), target, rust.environment())
    return _seated(stack, folder, recipe, sides), control
