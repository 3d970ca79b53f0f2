"""One pass over a ModelBuild: observed -> what to write, what to report, when to look again."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from modelops.sync.builds.job import TEMPLATE, owner, render_job, render_store, template_mark
from modelops.sync.builds.observed import STORE, ObservedBuild
from modelops.sync.builds.plan import BuildPlan, plan_build
from modelops.sync.builds.report import report_build, report_build_refusal
from modelops.sync.builds.verdict import Course, course, judge_build
from modelops.sync.catalogue import Platform
from modelops.sync.desired import Create, Delete, Desired, Replace, Write, pause
from modelops.sync.observed import Manifest, Ref
from modelops.sync.refusal import Refusal


def sync_build(observed: ObservedBuild, platform: Platform, now: datetime) -> Desired:
    """Return what follows from what was observed. Pure: equal inputs give equal results."""
    try:
        planned = plan_build(observed, platform)
    except Refusal as refusal:
        status = report_build_refusal(observed, refusal, now)
        return Desired((), status, refusal.reason, refusal.sentence, refusal.recheck_seconds)
    found = course(observed, planned)
    verdict = judge_build(planned, found)
    status = report_build(observed, planned, found, verdict, now)
    return Desired(
        writes=(*_writes(observed, planned, found), *_leave(observed, planned)),
        status=status,
        reason=verdict.reason,
        sentence=verdict.sentence,
        recheck_seconds=pause(verdict.recheck_seconds, status, now),
    )


def _writes(observed: ObservedBuild, plan: BuildPlan, found: Course) -> Iterator[Write]:
    """Yield what the Job needs: that there is one, of the present template, with all its owners."""
    job = found.job
    if job is None and found.result is None:
        if plan.store == STORE and not observed.has_store():
            yield Create(render_store(observed, plan))
        yield Create(render_job(observed, plan))
    elif job is not None and "deletionTimestamp" not in job["metadata"]:
        if _worthless(job, plan, found):
            yield _delete(job)
        elif _owned(job, plan) != job["metadata"].get("ownerReferences", []):
            yield Replace(_with_owners(job, _owned(job, plan)))


def _worthless(job: Manifest, plan: BuildPlan, found: Course) -> bool:
    """Tell whether a Job is of no use: its words are lost, or it failed and is asked otherwise."""
    mark = (job["metadata"].get("annotations") or {}).get(TEMPLATE)
    hopeless = found.cause is not None and mark != template_mark(plan)
    return found.lost or hopeless


def _owned(job: Manifest, plan: BuildPlan) -> list[dict[str, Any]]:
    """Return the owners that a Job has and shall have: none that shares the build is missing."""
    before = [dict(one) for one in job["metadata"].get("ownerReferences", [])]
    known = {one["uid"] for one in before}
    return [*before, *(owner(one) for one in plan.sharing if one["metadata"]["uid"] not in known)]


def _leave(observed: ObservedBuild, plan: BuildPlan) -> Iterator[Write]:
    """Yield what parts the object from Jobs of recipes that it had before."""
    for job in observed.jobs:
        owners = job["metadata"].get("ownerReferences", [])
        others = [dict(one) for one in owners if one["uid"] != observed.uid]
        left = len(others) < len(owners) and job["metadata"]["name"] != plan.job
        if left and "deletionTimestamp" not in job["metadata"]:
            yield Replace(_with_owners(job, others)) if others else _delete(job)


def _with_owners(job: Manifest, owners: list[dict[str, Any]]) -> dict[str, Any]:
    return {**job, "metadata": {**job["metadata"], "ownerReferences": owners}}


def _delete(job: Manifest) -> Delete:
    return Delete(Ref.of(job), str(job["metadata"]["uid"]))
