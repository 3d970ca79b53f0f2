"""What a pass writes, refuses and reports."""

from collections.abc import Mapping
from functools import reduce

import pytest

from modelops.sync.catalogue import Catalogue, Platform
from modelops.sync.desired import INTENT, SCALER, Apply, Delete
from sync import kubelet
from sync.world import (
    CATALOGUE,
    IMAGES,
    UID,
    Json,
    ago,
    condition,
    deployment,
    manifests,
    model,
    passed,
    pod,
    running,
    seen,
)

READY_FALSE = {"type": "Ready", "status": "False", "reason": "Pending", "message": "waits"}
HUB = {"uri": "hf://Qwen/Qwen3-0.6B"}


def applies(writes: tuple) -> list[tuple[str, str, int | None]]:
    """Return who applies what, and the replicas in it."""
    return [
        (w.manager, w.manifest["kind"], w.manifest["spec"].get("replicas"))
        for w in writes
        if isinstance(w, Apply)
    ]


def test_a_deployment_is_born_with_its_replicas() -> None:
    """The first apply carries the count, so that a model made at zero never flashes a pod."""
    writes = passed(seen(model(scaling={"minReplicas": 0}))).writes
    assert applies(writes) == [
        (INTENT, "Service", None),
        (INTENT, "Deployment", 0),
        (SCALER, "Deployment", 0),
    ]


def test_models_are_reached_by_the_platforms_callers_only() -> None:
    """Where there are callers a policy lets them in, before the pods come; else there is none."""
    peer = {"podSelector": {"matchLabels": {"app": "gateway"}}}
    guarded = Catalogue(platform=Platform(images=IMAGES, callers=(peer,)))
    writes = passed(seen(model()), guarded).writes
    kinds = [kind for _, kind, _ in applies(writes)]
    assert kinds[:3] == ["Service", "NetworkPolicy", "Deployment"]
    (spec,) = (w.manifest["spec"] for w in writes if w.manifest["kind"] == "NetworkPolicy")
    assert spec["ingress"] == [{"from": [peer], "ports": [{"port": "http", "protocol": "TCP"}]}]
    assert spec["policyTypes"] == ["Ingress"]
    assert "NetworkPolicy" not in manifests(model())


def test_the_scaler_owns_the_replicas_before_the_intent_leaves_them_out() -> None:
    """On a Deployment that exists the count is applied first, by its only owner."""
    tiny = model(scaling={"minReplicas": 3})
    writes = passed(seen(tiny, deployment(tiny))).writes
    assert applies(writes) == [
        (INTENT, "Service", None),
        (INTENT, "PodDisruptionBudget", None),
        (SCALER, "Deployment", 3),
        (INTENT, "Deployment", None),
    ]


def test_what_is_not_wanted_goes_when_the_new_version_serves() -> None:
    """A claim that a change made useless is deleted only after the new version serves."""
    old, tiny = model(model=HUB), model()
    claim = manifests(old)["PersistentVolumeClaim"]
    claim = {**claim, "metadata": {**claim["metadata"], "uid": "c"}}
    before = passed(seen(tiny, claim, deployment(tiny), pods=(pod(tiny, running(ready=False)),)))
    after = passed(seen(tiny, claim, deployment(tiny), pods=(pod(tiny, running()),)))
    assert not [w for w in before.writes if isinstance(w, Delete)]
    (gone,) = [w for w in after.writes if isinstance(w, Delete)]
    assert (gone.ref.kind, gone.ref.name, gone.uid) == (
        "PersistentVolumeClaim",
        "tiny-weights",
        "c",
    )


def test_what_is_being_deleted_is_not_deleted_again() -> None:
    """A claim that waits for its last pod to drain costs no further requests."""
    old, tiny = model(model=HUB), model()
    claim = manifests(old)["PersistentVolumeClaim"]
    meta = {**claim["metadata"], "uid": "c", "deletionTimestamp": ago(seconds=5)}
    going = {**claim, "metadata": meta}
    writes = passed(seen(tiny, going, deployment(tiny), pods=(pod(tiny, running()),))).writes
    assert not [w for w in writes if isinstance(w, Delete)]


def test_a_strangers_object_is_never_deleted() -> None:
    """What carries our labels but is not ours stays."""
    tiny = model()
    claim = manifests(model(model=HUB))["PersistentVolumeClaim"]
    theirs = {**claim, "metadata": {**claim["metadata"], "ownerReferences": []}}
    writes = passed(seen(tiny, theirs, deployment(tiny), pods=(pod(tiny, running()),))).writes
    assert not [w for w in writes if isinstance(w, Delete)]


REFUSALS = {
    "unknown field": (model(text={"contextLenght": 5}), "InvalidSpec", "spec.text.contextLenght"),
    "wrong type": (
        model(scaling={"minReplicas": "two"}),
        "InvalidSpec",
        "spec.scaling.minReplicas",
    ),
    "no spec": ({**model(), "spec": None}, "InvalidSpec", "kubectl explain textmodel.spec"),
    "uri": (model(model={"uri": "ftp://a/b"}), "InvalidUri", "correct spec.model.uri"),
    "name": (model(name="9"), "InvalidName", "starting with a letter: give it another name"),
    "long name": (model(name="a" * 51), "InvalidName", "at most 50 characters"),
    "runtime": (model(runtime={"name": "nope"}), "RuntimeUnknown", "one of: llama-cpp, vllm"),
    "runtime that does not read what is built": (
        model(quantization={"method": "GGUF"}, runtime={"name": "vllm"}),
        "FormatUnserved",
        "one of: llama-cpp",
    ),
    "GGUF on a GPU": (
        model(quantization={"method": "GGUF"}, resources={"accelerator": {"count": 1}}),
        "SchemeUnserved",
        "Q4_K_M on gpu: choose another method",
    ),
    "reserved argument": (
        model(runtime={"args": ["--served_model_name=x"]}),
        "ReservedArgument",
        "--served_model_name=x, which modelops sets itself",
    ),
    "shortened argument": (
        model(runtime={"args": ["--trust-remote"]}),
        "ReservedArgument",
        "--trust-remote, which modelops sets itself",
    ),
    "endless pod template": (
        model(podTemplate={"spec": reduce(lambda inner, _: {"a": inner}, range(5000), {})}),
        "PodTemplateTooDeep",
        "kubectl explain pod.spec",
    ),
}


@pytest.mark.parametrize(("resource", "reason", "words"), REFUSALS.values(), ids=REFUSALS)
def test_what_cannot_be_served_is_refused(resource: dict, reason: str, words: str) -> None:
    """A spec that cannot be served gets a reason and a next action, and nothing is written."""
    desired = passed(seen(resource))
    assert (desired.reason, desired.writes) == (reason, ())
    assert words in desired.sentence
    for kind in ("Ready", "Accepted"):
        assert condition(desired, kind)["status"] == "False"
        assert condition(desired, kind)["message"] == desired.sentence
    assert condition(desired, "Stalled")["status"] == "True"


@pytest.mark.parametrize(
    ("platform", "spec", "reason"),
    [
        (Platform(), {}, "ImageUnknown"),
        (Platform(images={"modelops": "m"}), {}, "ImageUnknown"),
        (Platform(images={"vllm-cpu": "v"}), {"runtime": {"image": "mine"}}, "ImageUnknown"),
    ],
)
def test_an_image_that_the_platform_lacks_is_named(
    platform: Platform, spec: dict, reason: str
) -> None:
    """Without an image nothing is rendered; the sentence names the chart's value."""
    desired = passed(seen(model(**spec)), Catalogue(platform=platform))
    assert desired.reason == reason
    assert "chart's value images." in desired.sentence


def test_a_name_that_another_object_has_is_refused() -> None:
    """Nobody's Service is taken over; the pass looks again, for that Service is not watched."""
    theirs = manifests(model())["Service"]
    theirs = {**theirs, "metadata": {**theirs["metadata"], "ownerReferences": [], "uid": "s"}}
    desired = passed(seen(model(), theirs))
    assert (desired.reason, desired.writes) == ("NameConflict", ())
    assert "Service tiny exists and is not this model's: delete that Service" in desired.sentence
    assert desired.recheck_seconds


@pytest.mark.parametrize(
    "meta",
    [
        {"deletionTimestamp": ago(seconds=5), "ownerReferences": []},
        {"ownerReferences": [{"kind": "TextModel", "name": "tiny", "uid": "old"}]},
    ],
    ids=["going", "not collected yet"],
)
def test_what_a_deleted_model_leaves_is_waited_for(meta: dict) -> None:
    """A model made anew under its name waits for the old claim, which its draining pods hold."""
    anew = model(model=HUB)
    claim = manifests(anew)["PersistentVolumeClaim"]
    old = {**claim, "metadata": {**claim["metadata"], **meta}}
    desired = passed(seen(anew, old))
    assert (desired.reason, desired.writes) == ("NameLeaving", ())
    assert condition(desired, "Stalled")["status"] == "False"
    assert condition(desired, "Reconciling")["status"] == "True"
    assert desired.recheck_seconds


def test_a_claim_of_the_childs_name_is_no_conflict_where_none_is_needed() -> None:
    """A user's own claim NAME-weights may hold the weights of the model NAME."""
    tiny = model(model={"uri": "pvc://tiny-weights/llama"})
    claim = manifests(model(model=HUB))["PersistentVolumeClaim"]
    theirs = {**claim, "metadata": {**claim["metadata"], "ownerReferences": []}}
    assert passed(seen(tiny, theirs)).reason == "Deploying"


def test_what_served_before_a_refusal_is_still_reported() -> None:
    """A bad change takes nothing away: Available, replicas and weights stay as they were."""
    good = model()
    before = passed(seen(good, deployment(good), pods=(pod(good, running()),))).status
    bad = model(generation=2, runtime={"name": "nope"}) | {"status": before}
    desired = passed(seen(bad, deployment(good), pods=(pod(good, running()),)))
    assert desired.status["observedGeneration"] == 2
    assert condition(desired, "Ready")["status"] == "False"
    assert condition(desired, "Available")["status"] == "True"
    assert condition(desired, "WeightsReady")["status"] == "True"
    assert desired.status["weights"] == before["weights"]
    assert desired.status["url"] == before["url"]


def test_the_status_of_a_model_that_serves() -> None:
    """A model that serves shows where, as what, from which weights, and how many replicas."""
    tiny = model()
    desired = passed(seen(tiny, deployment(tiny), pods=(pod(tiny, running()),)))
    status = {k: v for k, v in desired.status.items() if k != "conditions"}
    assert status == {
        "observedGeneration": 1,
        "url": "http://tiny.default.svc.cluster.local/v1",
        "runtime": "vllm",
        "model": "tiny",
        "replicas": 1,
        "readyReplicas": 1,
        "selector": "modelops.dev/kind=TextModel,modelops.dev/model=tiny",
        "weights": {"digest": "abc", "doneBytes": 2048, "totalBytes": 2048, "percent": 100},
        "lastScale": {
            "replicasBefore": 0,
            "replicas": 1,
            "metric": "created",
            "message": "the model was created",
            "time": "2026-01-01T12:00:00Z",
        },
    }
    assert desired.recheck_seconds is None


@pytest.mark.parametrize(
    ("status", "truth", "reason"),
    [
        (running(), "True", "Verified"),
        (kubelet.crashed(137, "OOMKilled", ""), "True", "Verified"),
        (kubelet.weights("state: {running: {}}"), "False", "Fetching"),
        (
            kubelet.unscheduled("0/1 nodes are available: 1 Too many pods."),
            "False",
            "Unschedulable",
        ),
    ],
)
def test_weights_have_a_condition_of_their_own(status: dict | str, truth: str, reason: str) -> None:
    """WeightsReady tells whether the weights are in place, or what keeps them away."""
    tiny = model()
    weights = condition(
        passed(seen(tiny, deployment(tiny), pods=(pod(tiny, status),))), "WeightsReady"
    )
    assert (weights["status"], weights["reason"]) == (truth, reason)


def test_an_idle_model_remembers_its_weights() -> None:
    """At zero replicas what was known of the weights stays known."""
    tiny = model(scaling={"minReplicas": 0})
    known = {"digest": "abc", "percent": 100}
    tiny["status"] = {
        "weights": known,
        "conditions": [
            {"type": "WeightsReady", "status": "True", "reason": "Verified", "message": "m"}
        ],
    }
    desired = passed(seen(tiny, deployment(tiny, replicas=0)))
    assert desired.status["weights"] == known
    assert condition(desired, "WeightsReady")["reason"] == "Verified"


def test_a_transition_time_moves_with_the_truth_only() -> None:
    """LastTransitionTime stays while the status does, whatever reason and message do."""
    tiny = model()
    tiny["status"] = {
        "conditions": [
            {"type": "Ready", "status": "False", "lastTransitionTime": ago(hours=2)},
            {"type": "Accepted", "status": "False", "lastTransitionTime": ago(hours=2)},
        ]
    }
    desired = passed(seen(tiny))
    assert condition(desired, "Ready")["lastTransitionTime"] == ago(hours=2)
    assert condition(desired, "Accepted")["lastTransitionTime"] == ago(hours=0)


def test_children_are_found_again_by_who_owns_them() -> None:
    """Every child names the model as its controller, so that it goes when the model goes."""
    for child in manifests(model(model=HUB, scaling={"minReplicas": 2})).values():
        (owner,) = child["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("TextModel", "tiny", UID)
        assert owner["controller"]


def test_a_platform_may_have_accelerators_of_another_make() -> None:
    """A count without a resource name takes the platform's accelerators."""
    platform = Platform(images=CATALOGUE.platform.images, accelerator="amd.com/gpu")
    resource = model(resources={"accelerator": {"count": 2}})
    writes = passed(seen(resource), Catalogue(platform=platform)).writes
    (engine,) = next(
        w.manifest["spec"]["template"]["spec"]["containers"]
        for w in writes
        if isinstance(w, Apply) and w.manifest["kind"] == "Deployment"
    )
    assert engine["resources"]["limits"] == {"amd.com/gpu": "2"}


def _template(resource: Mapping[str, Json], live: Mapping[str, Json], images: Json) -> Json:
    catalogue = Catalogue(platform=Platform(images={**IMAGES, **images}))
    writes = passed(seen(resource, live), catalogue).writes
    applied = [w.manifest for w in writes if isinstance(w, Apply) and w.manager == INTENT]
    return next(m for m in applied if m["kind"] == "Deployment")["spec"]["template"]


def test_an_upgrade_of_the_operator_restarts_no_model_that_serves() -> None:
    """A new image of the weights container alone leaves the template of serving replicas."""
    live = deployment(model(), readyReplicas=1)
    newer = {"modelops": "registry.example.com/modelops:2"}
    assert _template(model(), live, newer) == live["spec"]["template"]


def test_a_new_weights_image_comes_with_any_other_change() -> None:
    """The newer weights image is taken by whatever is rolled out or not serving anyway."""
    newer = {"modelops": "registry.example.com/modelops:2"}
    serving, failing = deployment(model(), readyReplicas=1), deployment(model(), readyReplicas=0)
    changed = model(runtime={"args": ["--max-num-seqs=8"]})
    for template in (_template(changed, serving, newer), _template(model(), failing, newer)):
        (weights,) = template["spec"]["initContainers"]
        assert weights["image"] == newer["modelops"]


@pytest.mark.parametrize(("since", "pause"), [(1, 2), (100, 5), (86400, 10)])
def test_what_lasts_is_looked_at_less_often(since: int, pause: float) -> None:
    """A model that has waited for long costs the API server little, and is still told in time."""
    before = {**READY_FALSE, "lastTransitionTime": ago(seconds=since)}
    waits = model() | {"status": {"conditions": [before]}}
    assert passed(seen(waits, deployment(waits))).recheck_seconds == pause


def test_a_version_can_take_the_place_of_the_one_before() -> None:
    """With Recreate the Deployment asks for no surge: the old replicas go before the new come."""
    strategy = manifests(model(rollout={"strategy": "Recreate"}))["Deployment"]["spec"]["strategy"]
    assert strategy == {"type": "Recreate"}
    rolling = manifests(model(rollout={"maxSurge": 3}))["Deployment"]["spec"]["strategy"]
    assert rolling["rollingUpdate"] == {"maxSurge": 3, "maxUnavailable": 0}
