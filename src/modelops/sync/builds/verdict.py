"""The one judgement of a pass over a ModelBuild."""

from dataclasses import dataclass

from modelops.api import conditions as c
from modelops.sync.builds.diagnosis import diagnose_build, failed, job_condition
from modelops.sync.builds.gate import judge_gate
from modelops.sync.builds.observed import ObservedBuild
from modelops.sync.builds.plan import BuildPlan
from modelops.sync.builds.progress import BuildProgress
from modelops.sync.builds.result import Result, kept, told
from modelops.sync.cause import Cause
from modelops.sync.observed import Manifest
from modelops.sync.progress import size
from modelops.sync.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Course:
    """How far a build has come.

    ``job`` is its Job, if there is one; ``result`` what came of it, once that is known; ``cause``
    what holds it up; ``over`` tells that its Job has ended and will not be tried again.
    """

    job: Manifest | None
    result: Result | None
    cause: Cause | None
    progress: BuildProgress | None
    over: bool = False

    @property
    def lost(self) -> bool:
        """Whether the Job ended well and nobody knows any more what it said."""
        done = job_condition(self.job, "Complete")
        return done is not None and self.result is None


def course(observed: ObservedBuild, plan: BuildPlan) -> Course:
    """Return how far the build that is planned has come."""
    job = observed.job(plan.job)
    known = (kept(one, plan) for one in (observed.resource, *plan.sharing))
    result = next((one for one in known if one), None)
    pods = tuple(pod for pod in observed.pods if _of_job(pod, job))
    if result is None:
        result = told(plan, pods)
    if result is not None:
        return Course(job, result, None, None)
    cause = diagnose_build(job, pods)
    return Course(job, None, cause, BuildProgress.read(observed.progress), failed(job) is not None)


def _of_job(pod: Manifest, job: Manifest | None) -> bool:
    """Tell whether a pod is of that very Job, and not of an earlier one of its name."""
    owners = pod["metadata"].get("ownerReferences", [])
    return job is not None and any(o["uid"] == job["metadata"]["uid"] for o in owners)


def judge_build(plan: BuildPlan, found: Course) -> Verdict:
    """Return the verdict on a build."""
    if found.result is not None:
        return _built(plan, found.result)
    if found.job is None or found.lost:
        return _waiting("Deploying", "the build's Job is being made")
    if found.job["spec"].get("suspend"):
        return _waiting("Queued", "the build's Job is suspended: it waits for its turn in a queue")
    if found.cause:
        return _held_up(found.cause, over=found.over)
    if found.progress:
        return _waiting("Building", f"building {_what(plan)}: {found.progress.sentence}")
    return _waiting("Pending", "waiting for the build's pod to start")


def gate_condition(plan: BuildPlan, result: Result | None) -> c.Condition:
    """Return the condition that tells whether the gate holds."""
    gate = plan.asked.recipe.gate
    if plan.asked.spec.gate is None:
        return c.Condition(c.GATE_PASSED, "Unknown", "NoGate", "no gate was asked for")
    if result is None:
        return c.Condition(c.GATE_PASSED, "Unknown", "NotMeasured", "nothing is measured yet")
    judged = judge_gate(gate, result.get("quality", {}))
    if judged.holds:
        return c.Condition(c.GATE_PASSED, "True", "GateHolds", judged.sentence)
    return c.Condition(c.GATE_PASSED, "False", "GateFailed", judged.sentence)


def _built(plan: BuildPlan, result: Result) -> Verdict:
    gate = gate_condition(plan, result)
    if gate.status != "False":
        measured = f"; {gate.message}" if gate.status == "True" else ""
        sentence = f"built {_what(plan)}{_sizes(result)}{measured}"
        return Verdict(ready=True, reason="Built", sentence=sentence)
    kept_for = f"the artifact is kept at {result.get('artifact')}"
    action = "choose other options, or raise the gate's maxDrop if that is good enough"
    return Verdict(
        ready=False,
        reason="GateFailed",
        sentence=f"{gate.message}; {kept_for}: {action}",
        stalled=True,
    )


def _sizes(result: Result) -> str:
    before, after = result.get("bytesBefore"), result.get("bytesAfter")
    return f", {size(before)} became {size(after)}" if before and after else ""


def _what(plan: BuildPlan) -> str:
    recipe = plan.asked.recipe
    return f"{recipe.options.scheme} by {recipe.method}"


def _held_up(cause: Cause, *, over: bool) -> Verdict:
    stalled, pause = over or not cause.passing, None if over else 5
    return Verdict(False, cause.reason, cause.sentence, stalled, pause)  # noqa: FBT003


def _waiting(reason: str, doing: str) -> Verdict:
    return Verdict(ready=False, reason=reason, sentence=doing, recheck_seconds=2)
