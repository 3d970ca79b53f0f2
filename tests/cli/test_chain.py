"""The chain of causes leads from the model to the container, and ends in what to do."""

import io
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from modelops.cli.chain import chain
from modelops.runtimes.engines import RUNTIMES
from modelops.sync.observed import Observed
from sync import kubelet
from sync.world import deployment, model, passed, pod, running, seen


def told(observed: Observed) -> str:
    """Return the chain as a narrow terminal shows it, on one line and without its branches."""
    text = io.StringIO()
    Console(file=text, width=60).print(chain(observed, RUNTIMES["vllm"]))
    return " ".join(text.getvalue().translate(dict.fromkeys(map(ord, "│├└─"))).split())


def reported(observed: Observed) -> tuple[Observed, Mapping[str, Any]]:
    """Return the same world after a pass, and Ready as that pass reports it."""
    status = passed(observed).status
    resource = {**observed.resource, "status": status}
    return seen(resource, *observed.children.values(), pods=observed.pods), status["conditions"][0]


def test_the_whole_sentence_is_shown() -> None:
    """Whatever the terminal's width, nothing of Ready's sentence or of the next action is cut."""
    tiny = model()
    crash = pod(tiny, kubelet.crashed(1, "Error", "ValueError: [red]odd[/red] weights", 4))
    world, ready = reported(seen(tiny, deployment(tiny), pods=(crash,)))
    text = told(world)
    assert " ".join(str(ready["message"]).split()) in text
    assert "EngineCrashed: the engine ended with code 1" in text
    assert "[red]odd[/red]" in text
    assert "next: see `kubectl logs tiny-1 -c engine --previous`" in text


def test_a_model_that_serves_has_no_cause() -> None:
    """For a healthy model the chain shows each step done, and no next action."""
    tiny = model()
    world, _ = reported(seen(tiny, deployment(tiny), pods=(pod(tiny, running()),)))
    text = told(world)
    assert "Ready True Serving" in text
    assert "container engine: running" in text
    assert "next:" not in text


def test_who_scales_and_why_is_shown() -> None:
    """The chain tells why nobody scales a model that may scale, and what changed its replicas."""
    free = model(scaling={"maxReplicas": 4, "replicas": 3})
    world, _ = reported(seen(free, deployment(free, replicas=1)))
    text = told(world)
    assert "ScalingActive False NoGateway" in text
    assert "scaled 1 -> 3 replicas by asked at 2026-01-01T12:00:00Z" in text
    fixed, _ = reported(seen(model(), deployment(model())))
    assert "ScalingActive" not in told(fixed)


def test_a_fresh_model_says_that_nobody_looked() -> None:
    """Without a status the chain tells that there is no Deployment yet, not an error."""
    assert "no Deployment tiny" in told(seen(model()))
