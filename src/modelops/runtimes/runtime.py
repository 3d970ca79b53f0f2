"""A runtime as data: what an engine serves, and how its container is run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from modelops.api.parts import ServingSpec

Device = Literal["cpu", "gpu"]


@dataclass(frozen=True, slots=True)
class Workload:
    """What a runtime is asked to serve: the spec, and where the pod finds the weights."""

    spec: ServingSpec
    served_name: str
    weights_path: str
    device: Device
    accelerators: int


@dataclass(frozen=True, slots=True)
class Command:
    """The engine's command line and environment."""

    args: tuple[str, ...]
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Hint:
    """What a line of an engine's last words means to the user.

    ``pattern`` is a regular expression searched in the container's termination message.
    """

    pattern: str
    reason: str
    message: str
    action: str


@dataclass(frozen=True, slots=True)
class Runtime:
    """One engine. ``images`` names the platform's image for each device it can run on."""

    name: str
    description: str
    kinds: frozenset[str]
    images: Mapping[Device, str]
    command: Callable[[Workload], Command]
    health_path: str
    port: int = 8000
    api_path: str = "/v1"
    reserved_args: tuple[str, ...] = ()
    cpu: Mapping[Device, str] = field(default_factory=dict)
    memory: Mapping[Device, str] = field(default_factory=dict)
    startup_seconds: int = 1800
    """How long the engine may take to load before it is restarted."""
    hints: tuple[Hint, ...] = ()
    formats: frozenset[str] = frozenset({"safetensors"})
    """What it reads: an object that names no runtime is served by the first that reads its own."""
    jobs: Callable[[ServingSpec], int] | None = None
    """For an engine that a worker beside it feeds with jobs: how many it takes at a time."""
