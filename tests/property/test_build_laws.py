"""What holds for every ModelBuild in every world."""

import re
from copy import deepcopy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from modelops.api.builds.modelbuild import ModelBuildStatus
from modelops.sync.builds.observed import JOB, ObservedBuild
from modelops.sync.desired import Create, Delete, Replace
from modelops.sync.refusal import Refusal
from property.resources import json
from property.worlds import conditions, container, messages
from sync.builds import build, condition, done, job, looked, passed, pod, reported

REASON = re.compile(r"[A-Z][A-Za-z]+")

specs = st.fixed_dictionaries(
    {},
    optional={
        "method": st.sampled_from(["GPTQ", "FP8", "RTN", "MAGIC"]),
        "options": st.fixed_dictionaries(
            {},
            optional={
                "bits": st.sampled_from([4, 8, 5]),
                "groupSize": st.sampled_from([32, 128]),
            },
        ),
        "gate": st.fixed_dictionaries(
            {},
            optional={
                "metric": st.sampled_from([None, "kl", "perplexity", "agreement"]),
                "maxDrop": st.sampled_from(["0", "0.05", "999"]),
            },
        ),
        "source": st.sampled_from([{"uri": "hf://a/b"}, {"uri": "pvc://c/d"}, {"uri": "x"}]),
        "resources": st.sampled_from([{"memory": "1Gi"}, {"accelerator": {"count": 2}}]),
    },
)
ends = st.sampled_from(["", "Complete", "Failed"])
lines = st.none() | st.dictionaries(
    st.sampled_from(["stage", "percent", "done", "etaSeconds", "doneBytes", "totalBytes"]), json
)


@st.composite
def worlds(draw: st.DrawFn) -> ObservedBuild:
    """Return a ModelBuild and some state of its peers, its Job and its pods."""
    one = build("one", **draw(specs))
    two = build("two", **draw(specs | st.just(one["spec"])))
    others: list[dict[str, Any]] = [two]
    pods: list[dict[str, Any]] = []
    old = build("one", **draw(specs | st.just(one["spec"])))
    try:
        found = job(old, two, end=draw(ends))
    except Refusal:  # what cannot be built has no Job
        found = None
    if found and draw(st.booleans()):
        others.append(found)
        statuses = {"containerStatuses": [draw(container("build"))]}
        if draw(st.booleans()):
            statuses["conditions"] = draw(conditions("PodScheduled", "Ready"))
        pods.append(pod(found, done(), **draw(st.sampled_from([{}, statuses]))))
    observed = looked(one, *others, pods=tuple(pods), progress=draw(lines))
    if draw(st.booleans()):
        told = reported(one, passed(observed))
        observed = looked(told, *others, pods=tuple(pods))
    return observed


@given(observed=worlds())
def test_equal_worlds_give_equal_conclusions(observed: ObservedBuild) -> None:
    """A pass is pure: the same twice, and what it looked at is untouched."""
    before = deepcopy(observed, {id(observed.kind): observed.kind})
    assert passed(observed) == passed(before)
    assert observed == before


@given(observed=worlds())
def test_a_status_fits_its_type_and_says_one_sentence(observed: ObservedBuild) -> None:
    """Whatever was seen, the status is of its type, one line and one word for each condition."""
    desired = passed(observed)
    ModelBuildStatus.model_validate(desired.status)
    told = desired.status["conditions"]
    assert all(c["message"].strip() and "\n" not in c["message"] for c in told)
    assert all(REASON.fullmatch(c["reason"]) for c in told)
    assert condition(desired, "Ready")["message"] == desired.sentence


@given(observed=worlds())
def test_only_jobs_are_changed_and_never_their_template(observed: ObservedBuild) -> None:
    """Jobs and the store are made, Jobs are given owners or taken away; nothing else is written."""
    for write in passed(observed).writes:
        if isinstance(write, Delete):
            assert write.ref.kind == JOB[1]
        elif isinstance(write, Replace):
            (live,) = (j for j in observed.jobs if j["metadata"]["name"] == name(write.manifest))
            assert write.manifest["spec"] == live["spec"]
        else:
            assert isinstance(write, Create)
            assert write.manifest["kind"] in {"Job", "PersistentVolumeClaim"}


@given(observed=worlds())
def test_ready_means_complete_and_good_enough(observed: ObservedBuild) -> None:
    """Ready is true if and only if there is an artifact and no gate that fails."""
    desired = passed(observed)
    ready = condition(desired, "Ready")["status"] == "True"
    if condition(desired, "Accepted")["status"] == "False":
        assert not ready
        return
    built = condition(desired, "Built")["status"] == "True"
    assert ready == (built and condition(desired, "GatePassed")["status"] != "False")
    assert built == ("artifact" in desired.status)


@given(text=messages)
def test_last_words_of_any_kind_are_a_cause(text: str) -> None:
    """A builder that failed is told, whatever it left as its last words."""
    one = build()
    over = job(one, end="Failed")
    state = {"terminated": {"exitCode": 1, "reason": "Error", "message": text}}
    desired = passed(looked(one, over, pods=(pod(over, state, phase="Failed"),)))
    assert condition(desired, "Stalled")["status"] == "True"


def name(manifest: Any) -> str:
    """Return the name of an object."""
    return str(manifest["metadata"]["name"])
