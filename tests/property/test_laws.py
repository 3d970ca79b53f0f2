"""What holds for every model in every world."""

import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from modelops.api.status import ServingStatus
from modelops.sync.desired import INTENT, SCALER, Apply, Delete, Desired, sync
from modelops.sync.facts import revision_of
from modelops.sync.observed import CHILD_TYPES, DEPLOYMENT, Observed
from modelops.sync.plan import Refusal, plan
from modelops.sync.pod import REVISION_LABEL
from modelops.sync.replica import Replica
from property.resources import names, resource, resources_any, resources_plain, resources_wrong
from property.security import violations
from property.worlds import crashed, hopeful, intent, worlds
from sync.world import CATALOGUE, NOW, condition, seen

DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
REASON = re.compile(r"[A-Z][A-Za-z]+")


def passed(observed: Observed) -> Desired:
    """Return what a pass concludes."""
    return sync(observed, CATALOGUE, NOW)


def applied(desired: Desired, manager: str = INTENT) -> list[Mapping[str, Any]]:
    """Return the manifests that a pass applies by a field manager."""
    return [w.manifest for w in desired.writes if isinstance(w, Apply) and w.manager == manager]


def refused(desired: Desired) -> bool:
    """Tell whether a pass refused the model."""
    return condition(desired, "Accepted")["status"] == "False"


@given(observed=worlds())
def test_equal_worlds_give_equal_conclusions(observed: Observed) -> None:
    """A pass is pure: the same twice, and what it looked at is untouched."""
    constant = {id(observed.kind): observed.kind}
    before = deepcopy(observed, constant)
    assert passed(observed) == passed(deepcopy(before, constant))
    assert observed == before


@given(wrong=resources_wrong)
def test_a_pass_answers_whatever_was_written(wrong: dict) -> None:
    """No spec and no name makes a pass raise; a plan raises Refusal or nothing."""
    if refused(passed(seen(wrong))):
        with pytest.raises(Refusal):
            plan(seen(wrong), CATALOGUE, NOW)
    else:
        plan(seen(wrong), CATALOGUE, NOW)


@given(observed=worlds() | worlds(resources_wrong))
def test_a_pass_says_one_sentence_and_one_reason(observed: Observed) -> None:
    """Every conclusion is one line for people and one word for programs, in every condition."""
    desired = passed(observed)
    conditions = desired.status["conditions"]
    assert all(c["message"].strip() and "\n" not in c["message"] for c in conditions)
    assert all(REASON.fullmatch(c["reason"]) for c in conditions)
    assert len({c["type"] for c in conditions}) == len(conditions)
    ready = condition(desired, "Ready")
    assert (desired.reason, desired.sentence) == (ready["reason"], ready["message"])


@given(observed=worlds() | hopeful())
def test_a_status_fits_its_type(observed: Observed) -> None:
    """What is reported passes the CRD's schema, whatever containers left as last words."""
    assume(not refused(passed(observed)))  # what stood there before may be anything
    ServingStatus.model_validate(passed(observed).status)


@given(of=resources_any)
def test_names_are_valid(of: dict) -> None:
    """Every accepted name gives children whose names a Service may have."""
    for child in intent(of):
        assert DNS_LABEL.fullmatch(child["metadata"]["name"])


@given(of=resources_any)
def test_children_are_owned_and_labelled(of: dict) -> None:
    """Every child and every pod carries the model's labels; every child names its owner."""
    name = of["metadata"]["name"]
    marks = {"modelops.dev/kind": "TextModel", "modelops.dev/model": name}
    for child in intent(of):
        (owner,) = child["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["controller"]) == (of["metadata"]["uid"], True)
        assert marks.items() <= child["metadata"]["labels"].items()
        if child["kind"] == DEPLOYMENT.kind:
            labels = child["spec"]["template"]["metadata"]["labels"]
            assert (marks | {REVISION_LABEL: revision_of(child)}).items() <= labels.items()


@given(observed=worlds())
def test_replicas_have_one_owner(observed: Observed) -> None:
    """Once a Deployment exists the intent never holds its replicas; the scaler always does."""
    desired = passed(observed)
    assume(not refused(desired))
    (deployment,) = (m for m in applied(desired) if m["kind"] == DEPLOYMENT.kind)
    assert ("replicas" in deployment["spec"]) == (observed.child(DEPLOYMENT) is None)
    (scale,) = applied(desired, SCALER)
    assert set(scale["spec"]) == {"replicas"}


@settings(max_examples=200)
@given(observed=hopeful(crashed))
def test_ready_is_never_true_on_a_crash_loop_or_an_old_version(observed: Observed) -> None:
    """Ready means: the planned version is deployed, and none of its replicas keeps crashing."""
    desired = passed(observed)
    if condition(desired, "Ready")["status"] != "True":
        return
    deployment = observed.child(DEPLOYMENT)
    assert deployment is not None
    (wanted,) = (m for m in applied(desired) if m["kind"] == DEPLOYMENT.kind)
    assert revision_of(deployment) == revision_of(wanted)
    current = [r for r in map(Replica, observed.pods) if r.revision == revision_of(wanted)]
    assert not [r for r in current if not r.leaving and r.looping(NOW)]
    scale = applied(desired, SCALER)[0]["spec"]["replicas"]
    assert desired.reason == ("Serving" if scale else "Idle")
    assert sum(r.ready for r in current) >= scale


@given(observed=worlds() | hopeful())
def test_idle_means_that_nothing_is_wanted_and_nothing_exists(observed: Observed) -> None:
    """A model is idle if and only if none is wanted, none exists, and all is deployed."""
    desired = passed(observed)
    assume(not refused(desired))
    (wanted,) = (m for m in applied(desired) if m["kind"] == DEPLOYMENT.kind)
    deployment = observed.child(DEPLOYMENT) or {}
    alive = [r for r in map(Replica, observed.pods) if not r.ended]
    nothing = (
        applied(desired, SCALER)[0]["spec"]["replicas"] == 0
        and not alive
        and not (deployment.get("status") or {}).get("replicas")
        and deployment.get("spec", {}).get("replicas") == 0
        and revision_of(deployment) == revision_of(wanted)
    )
    assert (desired.reason == "Idle") == nothing


@given(observed=worlds())
def test_transition_times_move_with_the_truth(observed: Observed) -> None:
    """lastTransitionTime is now if the status flipped, and what it was if it did not."""
    before = {c["type"]: c for c in observed.resource.get("status", {}).get("conditions", [])}
    for after in passed(observed).status["conditions"]:
        old = before.get(after["type"], {})
        kept = old.get("lastTransitionTime") if old.get("status") == after["status"] else None
        assert after["lastTransitionTime"] == (kept or NOW.strftime("%Y-%m-%dT%H:%M:%SZ"))


@given(name=names, one=resources_any, other=resources_any)
def test_selectors_never_change(name: str, one: dict, other: dict) -> None:
    """Two specs of one name select the same pods: no change orphans a Deployment's pods."""
    first, second = (
        {
            child["kind"]: child["spec"]["selector"]
            for child in intent(resource(name, of["spec"]))
            if "selector" in child["spec"]
        }
        for of in (one, other)
    )
    assert all(first[kind] == second[kind] for kind in first.keys() & second.keys())


@given(of=resources_plain)
def test_pods_are_restricted(of: dict) -> None:
    """Whatever a spec says, its pods pass Pod Security `restricted` (podTemplate may undo that)."""
    for child in intent(of):
        if child["kind"] == DEPLOYMENT.kind:
            assert not list(violations(child["spec"]["template"]["spec"]))


@given(observed=worlds() | worlds(resources_wrong))
def test_a_refusal_writes_nothing(observed: Observed) -> None:
    """What is refused leaves the cluster as it is."""
    desired = passed(observed)
    assert not (refused(desired) and desired.writes)


@given(observed=worlds() | hopeful())
def test_available_tells_of_every_version(observed: Observed) -> None:
    """Available is true while any replica answers: a bad new version takes nothing away."""
    answers = any(Replica(pod).ready for pod in observed.pods)
    assert condition(passed(observed), "Available")["status"] == str(answers)


@given(observed=worlds() | hopeful())
def test_only_what_is_ours_and_unwanted_is_deleted(observed: Observed) -> None:
    """A deletion names a child that the model owns, that it does not apply, once it is ready."""
    desired = passed(observed)
    deleted = [w for w in desired.writes if isinstance(w, Delete)]
    wanted = {(m["kind"], m["metadata"]["name"]) for m in applied(desired)}
    for write in deleted:
        assert observed.owns(observed.children[write.ref])
        assert (write.ref.kind, write.ref.name) not in wanted
    assert not deleted or condition(desired, "Ready")["status"] == "True"


@given(of=resources_any, data=st.data())
def test_the_second_pass_writes_the_same(of: dict, data: st.DataObject) -> None:
    """What a pass applied is what the next one applies, from any part of it on the cluster."""
    first = intent(of)
    there = [
        {**child, "metadata": {**child["metadata"], "uid": "u"}}
        for child in first
        if data.draw(st.booleans())
    ]
    second = applied(passed(seen(of, *there)))
    assert [_without_replicas(m) for m in second] == [_without_replicas(m) for m in first]


@given(of=resources_any)
def test_children_are_of_the_types_that_are_watched(of: dict) -> None:
    """No child is of a type, or has a name, that the operator does not look for."""
    name, space = of["metadata"]["name"], of["metadata"]["namespace"]
    known = {(t.kind, t.ref(space, name).name) for t in CHILD_TYPES}
    assert {(c["kind"], c["metadata"]["name"]) for c in intent(of)} <= known


def _without_replicas(manifest: Mapping[str, Any]) -> dict[str, Any]:
    spec = {k: v for k, v in manifest["spec"].items() if k != "replicas"}
    return {**manifest, "spec": spec}
