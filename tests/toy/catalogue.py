"""A second kind and a second runtime, made here alone: EchoModel, served by an HTTP echo."""

from typing import Final

from pydantic import Field

from modelops.api.base import ApiModel, rule, rules
from modelops.api.kinds import KINDS
from modelops.api.parts import ServingSpec
from modelops.api.serving import ServingKind
from modelops.runtimes.engines import RUNTIMES
from modelops.runtimes.runtime import Command, Hint, Runtime, Workload
from modelops.sync.catalogue import Catalogue, Platform


class Echo(ApiModel):
    """What only an echo has."""

    model_config = rules(
        rule("!self.prefix.contains(' ')", "write spec.echo.prefix without a space")
    )

    prefix: str = Field("echo", max_length=32, description="What every answer starts with.")


class EchoModelSpec(ServingSpec):
    """The spec of an EchoModel."""

    echo: Echo = Field(default_factory=Echo, description="What only an echo has.")


ECHO_MODEL: Final = ServingKind(
    name="EchoModel",
    plural="echomodels",
    short_name="em",
    description="EchoModel answers with what it was asked.",
    spec=EchoModelSpec,
)


def command(workload: Workload) -> Command:
    """Return the command line of the echo."""
    prefix = workload.spec.echo.prefix if isinstance(workload.spec, EchoModelSpec) else ""
    args = ("echo-server", f"--prefix={prefix}", f"--model={workload.served_name}")
    return Command(args=args, env={"ECHO_WEIGHTS": workload.weights_path})


ECHO: Final = Runtime(
    name="echo",
    description="Answers with what it was asked.",
    kinds=frozenset({"EchoModel"}),
    images={"cpu": "echo"},
    command=command,
    health_path="/ready",
    port=9000,
    api_path="/echo",
    reserved_args=("--prefix",),
    cpu={"cpu": "10m"},
    memory={"cpu": "16Mi"},
    startup_seconds=30,
    hints=(Hint("no voice", "Voiceless", "the echo has no voice", "give it one"),),
)


def toy_catalogue(platform: Platform | None = None) -> Catalogue:
    """Return all that the platform offers, and the toy kind and runtime besides."""
    images = {name: f"registry.example.com/{name}:1" for name in ("modelops", "vllm-cpu", "echo")}
    return Catalogue(
        kinds={**KINDS, ECHO_MODEL.name: ECHO_MODEL},
        runtimes={**RUNTIMES, ECHO.name: ECHO},
        platform=platform or Platform(images=images),
    )
