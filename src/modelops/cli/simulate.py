"""`modelops simulate`: what a policy of scaling does to a trace, before it is applied."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from modelops.api.scaling import Scaling
from modelops.scaling.policy import Policy
from modelops.simulation.course import Course, Objective
from modelops.simulation.outcome import Outcome
from modelops.simulation.page import COLUMNS, cells, page
from modelops.simulation.plot import picture
from modelops.simulation.scalers import Fixed, Keda, Modelops
from modelops.simulation.speed import SPEEDS, Speed
from modelops.simulation.trace import AZURE, SHAPES, Trace, read_trace, scaled, synthetic
from modelops.simulation.world import Played, Setting

THIN_SECONDS: Final = 60
WIDTH: Final = 100
"""The table is told whole, in narrow terminals too."""
Play = Callable[[Course], Played | None]
"""How somebody plays a course; None when it cannot be done."""


@dataclass(frozen=True, slots=True)
class Told:
    """What was played, and where it is to be written."""

    course: Course
    played: Mapping[str, Played]
    settings: Mapping[str, Any]

    @property
    def outcomes(self) -> list[Outcome]:
        """What became of each."""
        objective = self.course.objective
        return [Outcome.of(name, one, objective) for name, one in self.played.items()]

    @property
    def document(self) -> dict[str, Any]:
        """All of it, for JSON."""
        found = [outcome.document for outcome in self.outcomes]
        return {"settings": dict(self.settings), "outcomes": found}


TraceFile = Annotated[
    Path | None,
    typer.Option(
        "--trace",
        help="CSV with the columns offset_ms,context_tokens,generated_tokens. Without it and "
        "--shape: 30 minutes of conversations with Azure's LLM service in 2023.",
    ),
]
Shape = Annotated[str | None, typer.Option(help=f"Instead: made-up arrivals; {', '.join(SHAPES)}.")]
Policies = Annotated[
    list[str] | None,
    typer.Option(
        "--policy",
        help="A file with a model or its `spec.scaling`, or the latter itself as "
        "'{maxReplicas: 8, targets: {concurrency: 16}}'. May be given several times. Without it: "
        "{maxReplicas: 40}.",
    ),
]
Beside = Annotated[
    str,
    typer.Option(
        help="Who else plays, with commas between: keda (queue depth, KEDA's defaults), keda-1s "
        "(polling each second), oracle (knows the future), a number of replicas; or none."
    ),
]
EngineName = Annotated[
    str,
    typer.Option(
        help=f"How fast a replica is: {', '.join(SPEEDS)} (Llama 3.1 on that accelerator), or a "
        "YAML file with step_seconds, cached_token_seconds, prompt_token_seconds, cache_tokens, "
        "most_sequences, step_tokens."
    ),
]
ColdStart = Annotated[
    float, typer.Option(min=0, max=7200, help="Seconds from asking for a replica to ready.")
]
Ttft = Annotated[float, typer.Option(min=0.001, help="Objective: seconds to the first token ...")]
Share = Annotated[float, typer.Option(min=0.01, max=1, help="... in this share of the requests.")]
Load = Annotated[float, typer.Option(min=0.01, max=1000, help="So many times as many requests.")]
Minutes = Annotated[float, typer.Option(min=0.1, max=1440, help="Length of a --shape.")]
Rate = Annotated[
    float, typer.Option(min=0.001, max=1000, help="Mean requests a second of a --shape.")
]
WarmUp = Annotated[
    float,
    typer.Option(
        min=0, max=3600, help="Seconds of the trace's beginning that are played before it."
    ),
]
Drain = Annotated[float, typer.Option(min=0, max=3600, help="The model's rollout.drainSeconds.")]
Every = Annotated[
    float,
    typer.Option(
        min=0.1,
        max=300,
        help="Seconds between decisions that are followed: 1 as by the built-in scaler, 15 as by "
        "the autoscaler that KEDA makes.",
    ),
]
KedaTarget = Annotated[
    float, typer.Option(min=0.1, help="KEDA's threshold: requests that wait, a replica.")
]
Thorough = Annotated[bool, typer.Option("--thorough", help="Search longer for the oracle's plan.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same answer.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write JSON here.")]
Png = Annotated[Path | None, typer.Option(help="Write a picture here.")]
Html = Annotated[Path | None, typer.Option(help="Write one HTML page here.")]


def simulate_command(  # noqa: PLR0913, PLR0917  options of the command line
    trace: TraceFile = None,
    shape: Shape = None,
    policy: Policies = None,
    beside: Beside = "keda,oracle",
    engine: EngineName = "l4-8b",
    cold_start: ColdStart = 30,
    ttft: Ttft = 3,
    share: Share = 0.99,
    load: Load = 1,
    minutes: Minutes = 30,
    rate: Rate = 4.5,
    warm_up: WarmUp = 300,
    drain: Drain = 60,
    every: Every = 1,
    keda_target: KedaTarget = 5,
    thorough: Thorough = False,  # noqa: FBT002
    seed: Seed = 0,
    json_file: JsonFile = None,
    png: Png = None,
    html: Html = None,
) -> None:
    """Play a trace of requests against a scaling policy, with the code that decides on a cluster.

    Tells how many requests had their first token in time and how many replica-hours that took,
    beside plain KEDA on queue depth and beside somebody who knows the future:

    modelops simulate --policy '{maxReplicas: 12, targets: {concurrency: 16}}' --html page.html
    """
    requests = _trace(trace, shape, load, minutes * 60, rate, seed)
    setting = Setting(
        speed=_speed(engine), cold_start_seconds=cold_start, drain_seconds=drain, seed=seed
    )
    policies = _policies(policy or ["{maxReplicas: 40}"], setting.speed)
    keda = _keda(policies.values(), keda_target)
    players = {name: _plays(one, every) for name, one in policies.items()}
    players |= _others(beside, keda, THIN_SECONDS if thorough else 0)
    course = Course.over(requests, setting, Objective(ttft, share), warm_up)
    settings = {
        "trace": str(trace or shape or AZURE.stem),
        "requests": len(requests),
        "load": load,
        "decision_seconds": every,
        "keda_target": keda_target,
        **asdict(course.objective),
        **asdict(course.setting),
    }
    told = Told(course, _played(course, players), settings)
    _print(told)
    _write(told, json_file, png, html)


def _trace(  # noqa: PLR0913, PLR0917  options of the command line
    file: Path | None, shape: str | None, load: float, seconds: float, rate: float, seed: int
) -> Trace:
    if file is not None and shape is not None:
        raise typer.BadParameter("name a file with --trace or a --shape, not both")
    if shape is not None and shape not in SHAPES:
        raise typer.BadParameter(f"no shape {shape}; shapes: {', '.join(SHAPES)}")
    try:
        found = synthetic(shape, seconds, rate, seed) if shape else read_trace(file or AZURE)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
    requests = scaled(found, load, seed)
    if not requests:
        raise typer.BadParameter("no request is left: raise --load, --rate or --minutes")
    return requests


def _speed(engine: str) -> Speed:
    if engine in SPEEDS:
        return SPEEDS[engine]
    try:
        return Speed(**yaml.safe_load(Path(engine).read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError, yaml.YAMLError) as error:
        message = f"no engine {engine}: {error}; engines: {', '.join(SPEEDS)}, or a YAML file"
        raise typer.BadParameter(message) from error


def _policies(given: Sequence[str], speed: Speed) -> dict[str, Policy]:
    found: dict[str, Policy] = {}
    for number, text in enumerate(given, start=1):
        name = "modelops" if len(given) == 1 else f"modelops {number}"
        found[name] = _policy(text, speed.most_sequences)
    return found


def _policy(text: str, capacity: int) -> Policy:
    try:
        source = text if text.lstrip().startswith("{") else Path(text).read_text(encoding="utf-8")
        document = yaml.safe_load(source)
        if isinstance(document, Mapping) and "spec" in document:
            document = document["spec"].get("scaling", {})
        scaling = Scaling.model_validate(document)
        if (scaling.max_replicas or scaling.min_replicas) < scaling.min_replicas:
            raise ValueError("minReplicas is more than maxReplicas: raise maxReplicas")  # noqa: TRY301
        return Policy.of(scaling, capacity)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise typer.BadParameter(f"{text} is no spec.scaling: {faults}") from error
    except (OSError, AttributeError, ValueError, yaml.YAMLError) as error:
        message = (
            f"no policy in {text}: {error}; name a YAML file with a model or its spec.scaling, or "
            "write '{maxReplicas: 8}'"
        )
        raise typer.BadParameter(message) from error


def _plays(policy: Policy, every: float) -> Play:
    return lambda course: course.play(Modelops(policy, every))


def _keda(policies: Iterable[Policy], target: float) -> Keda:
    """Return KEDA with the widest bounds of the policies."""
    bounds = [(policy.minimum, policy.maximum) for policy in policies]
    return Keda(min(low for low, _ in bounds), max(high for _, high in bounds), target)


def _others(beside: str, keda: Keda, block: int) -> dict[str, Play]:
    found = {}
    for name in filter(None, (part.strip() for part in beside.split(","))):
        play = _other(name, keda, block)
        if play is not None:
            found[f"{name} replicas" if name.isdecimal() else name] = play
    return found


def _other(name: str, keda: Keda, block: int) -> Play | None:
    if name == "none":
        return None
    if name == "oracle":
        return lambda course: course.oracle(block)
    if name == "keda":
        return lambda course: course.play(replace(keda))
    if name == "keda-1s":
        return lambda course: course.play(replace(keda, polling_seconds=1.0))
    if name.isdecimal() and int(name) <= 1000:
        return lambda course: course.play(Fixed(int(name)), int(name))
    message = f"who is {name}? write keda, keda-1s, oracle, a number of replicas, or none"
    raise typer.BadParameter(message)


def _played(course: Course, players: Mapping[str, Play]) -> dict[str, Played]:
    found: dict[str, Played] = {}
    for name, play in players.items():
        with _busy(f"{name} plays {len(course.trace)} requests"):
            played = play(course)
        if played is None:
            message = f"{name}: no plan meets the objective; raise --ttft or take a faster --engine"
            typer.echo(message, err=True)
        else:
            found[name] = played
    return found


@contextmanager
def _busy(what: str) -> Iterator[None]:
    with Console(stderr=True).status(what):
        yield


def _print(told: Told) -> None:
    table = Table("", *(head for head, _, _ in COLUMNS), box=None, pad_edge=False)
    for column in table.columns:
        column.no_wrap = True
    for outcome in told.outcomes:
        table.add_row(outcome.name, *cells(outcome))
    Console(highlight=False, width=max(Console().width, WIDTH)).print(table)
    objective = told.course.objective
    ours = told.outcomes[0]
    verdict = "meets" if ours.slo_attainment >= objective.share else "misses"
    typer.echo(
        f"{ours.name} {verdict} the objective: {ours.slo_attainment:.2%} of {ours.requests} "
        f"requests had their first token within {objective.ttft_seconds:g} s, wanted are "
        f"{objective.share:.2%}"
    )


def _write(told: Told, json_file: Path | None, png: Path | None, html: Path | None) -> None:
    try:
        if json_file:
            json_file.write_text(json.dumps(told.document, indent=2) + "\n", encoding="utf-8")
        if png or html:
            _draw(told, png, html)
    except (OSError, ModuleNotFoundError) as error:
        sys.exit(f"cannot write what was found: {error}")


def _draw(told: Told, png: Path | None, html: Path | None) -> None:
    title = f"{told.settings['trace']}, cold start {told.settings['cold_start_seconds']:g} s"
    image = picture(told.course, told.played, title)
    if png:
        png.write_bytes(image)
    if html:
        text = page(title, told.outcomes, image, told.document, told.course.objective.share)
        html.write_text(text, encoding="utf-8")
