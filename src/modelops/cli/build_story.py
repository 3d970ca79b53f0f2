"""A build told in words."""

from collections.abc import Iterator

from modelops.builders.recipe import as_document
from modelops.sync.builds.plan import BuildPlan


def build_story(plan: BuildPlan) -> Iterator[str]:
    """Yield the lines that explain a plan of a build, one decision each."""
    recipe, spec = plan.asked.recipe, plan.oldest.spec
    yield f"  makes    {recipe.options.scheme} by {recipe.method} of {recipe.source.uri}"
    yield f"  options  {_options(plan)}"
    yield f"  builder  {recipe.builder} on {_device(plan)}, image {recipe.builder_image}"
    yield f"  as       Job {plan.job}, once for all that ask for the same"
    yield f"  keeps    {plan.artifact}"
    yield f"  gate     {_gate(plan)}"
    yield f"  patience {spec.deadline_seconds} s, {spec.retries} further attempts"


def _options(plan: BuildPlan) -> str:
    options = as_document(plan.asked.recipe).get("options", {})
    return ", ".join(f"{name} {_value(value)}" for name, value in options.items())


def _value(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{k}={v}" for k, v in value.items())
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _device(plan: BuildPlan) -> str:
    taken = plan.accelerator
    return f"{taken.count} x {taken.resource_name}" if taken else "CPU"


def _gate(plan: BuildPlan) -> str:
    gate = plan.asked.recipe.gate
    if plan.asked.spec.gate is None:
        return "none: the quality is measured and judged by nobody"
    return f"{gate.metric} may lose at most {gate.max_drop}"
