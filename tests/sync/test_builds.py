"""The laws of a pass over a ModelBuild."""

import json
from typing import Any

import pytest

from modelops.api.builds.modelbuild import ModelBuildStatus
from modelops.builders.recipe import digest, read_recipe
from modelops.sync.builds.job import QUEUE, RECIPE
from modelops.sync.builds.observed import STORE
from modelops.sync.catalogue import Platform
from modelops.sync.desired import Create, Delete, Replace
from sync.builds import (
    IMAGES,
    build,
    condition,
    done,
    ended,
    job,
    looked,
    made,
    passed,
    pod,
    reported,
)
from sync.world import ago

GATED = {"gate": {"metric": "kl", "maxDrop": "0.05"}}


def test_a_build_becomes_one_job_and_a_claim() -> None:
    """The first look makes the namespace's claim and the Job, and says so."""
    desired = passed(looked(build()))
    found = made(desired.writes)
    assert list(found) == ["PersistentVolumeClaim", "Job"]
    assert found["PersistentVolumeClaim"]["metadata"]["name"] == STORE
    assert "ownerReferences" not in found["PersistentVolumeClaim"]["metadata"]
    assert desired.reason == "Deploying"
    assert desired.status["job"] == found["Job"]["metadata"]["name"]


def test_the_job_is_named_by_the_recipe_that_it_carries() -> None:
    """The container reads the recipe whose digest the Job and the status are named by."""
    desired = passed(looked(build()))
    manifest = made(desired.writes)["Job"]
    carried = manifest["spec"]["template"]["metadata"]["annotations"][RECIPE]
    address = digest(read_recipe(carried))
    assert manifest["metadata"]["name"] == f"mb-{address[:12]}"
    assert desired.status["digest"] == address


def test_a_claim_of_ones_own_is_used_and_never_made() -> None:
    """With output.claim nothing but the Job is made, under a name of its own."""
    chosen = build(output={"claim": {"claimName": "mine"}})
    found = made(passed(looked(chosen)).writes)
    assert list(found) == ["Job"]
    assert found["Job"]["metadata"]["name"] != job(build())["metadata"]["name"]
    volumes = found["Job"]["spec"]["template"]["spec"]["volumes"]
    assert {"name": "store", "persistentVolumeClaim": {"claimName": "mine"}} in volumes


def test_the_source_on_the_stores_claim_is_mounted_once() -> None:
    """A source that lies on the claim of artifacts needs no second volume."""
    inside = build(source={"uri": f"pvc://{STORE}/artifacts/x"})
    spec = made(passed(looked(inside)).writes)["Job"]["spec"]["template"]["spec"]
    assert [v["name"] for v in spec["volumes"]].count("source") == 0
    mounts = {m["mountPath"]: m["name"] for m in spec["containers"][0]["volumeMounts"]}
    assert mounts["/source"] == mounts["/store"] == "store"


@pytest.mark.parametrize(
    "change",
    [
        {"options": {"scheme": "W8A16"}},
        {"source": {"uri": "pvc://models/other"}},
        {"method": "RTN"},
        {"target": {"product": "L4"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_decides_the_content_changes_the_address(change: dict[str, Any]) -> None:
    """Source, method, options and target name another artifact."""
    addresses = {passed(looked(build(**c))).status["digest"] for c in ({}, change)}
    assert len(addresses) == 2


@pytest.mark.parametrize(
    "change",
    [
        GATED,
        {"options": {"scheme": "W4A16", "bits": 4, "groupSize": 128}},
        {"resources": {"memory": "8Gi"}},
        {"deadlineSeconds": 600},
    ],
    ids=["gate", "defaults written out", "resources", "deadline"],
)
def test_what_does_not_decide_it_leaves_the_address(change: dict[str, Any]) -> None:
    """Another gate judges anew and builds nothing; nor does how the Job is run."""
    addresses = {passed(looked(build(**c))).status["digest"] for c in ({}, change)}
    assert len(addresses) == 1


def test_equal_builds_have_one_job_that_all_own() -> None:
    """The Job of a hundred equal objects is made once, for all of them, as the oldest says."""
    hundred = [build(f"b{i}", created=ago(minutes=200 - i)) for i in range(100)]
    hundred[0]["spec"]["resources"] = {"memory": "8Gi"}
    jobs = [
        made(passed(looked(one, *(o for o in hundred if o is not one))).writes)["Job"]
        for one in hundred
    ]
    assert all(one == jobs[0] for one in jobs)
    owners = jobs[0]["metadata"]["ownerReferences"]
    assert {o["name"] for o in owners} == {f"b{i}" for i in range(100)}
    assert not [o for o in owners if o.get("controller")]
    container = jobs[0]["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"] == {"memory": "8Gi"}


def test_a_later_equal_build_only_joins() -> None:
    """While the Job runs, another object with the same recipe makes none: it owns the one."""
    first, second = build("first", created=ago(hours=2)), build("second")
    running = job(first)
    (write,) = passed(looked(second, first, running)).writes
    assert isinstance(write, Replace)
    owners = write.manifest["metadata"]["ownerReferences"]
    assert [o["name"] for o in owners] == ["first", "second"]
    assert write.manifest["metadata"]["resourceVersion"] == "1"
    assert write.manifest["spec"] == running["spec"]


def finished(**spec: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return a ModelBuild, its Job that ended well, and the pod that tells what came of it."""
    one = build("first", **spec)
    over = job(one, end="Complete")
    return one, over, pod(over, done(), phase="Succeeded")


def test_what_the_container_says_reaches_the_status() -> None:
    """Sizes, quality, lineage and cost are told; the artifact is a model's URI."""
    one, over, its_pod = finished(**GATED)
    desired = passed(looked(one, over, pods=(its_pod,)))
    status = ModelBuildStatus.model_validate(desired.status)
    assert desired.reason == "Built"
    assert desired.sentence == (
        "built W4A16 by GPTQ, 2.0 GiB became 512.0 MiB; KL 0.0123 is within 0.05"
    )
    assert status.artifact == f"pvc://{STORE}/artifacts/{status.digest}"
    assert status.quality
    assert status.quality.perplexity_after == "8.3"
    assert status.lineage
    assert status.lineage.source_revision == "main"
    assert status.lineage.builder_image == IMAGES["llm-compressor"]
    assert json.loads(status.lineage.options)["scheme"] == "W4A16"
    assert (status.seconds, status.gpu_seconds) == (600, 0)


def test_the_cost_counts_accelerators() -> None:
    """A build on two accelerators costs twice its seconds."""
    one, over, its_pod = finished(resources={"accelerator": {"count": 2}})
    assert passed(looked(one, over, pods=(its_pod,))).status["gpuSeconds"] == 1200


def test_a_gate_that_fails_says_by_how_much() -> None:
    """The artifact is complete and kept, and Ready says what was lost and what to do."""
    one, over, _ = finished(**GATED)
    desired = passed(looked(one, over, pods=(pod(over, done(kl="0.41")),)))
    assert desired.reason == "GateFailed"
    assert desired.sentence.startswith("KL 0.41 is above 0.05; the artifact is kept at pvc://")
    assert condition(desired, "Built")["status"] == "True"
    assert condition(desired, "GatePassed")["status"] == "False"
    assert condition(desired, "Stalled")["status"] == "True"
    assert not desired.writes


@pytest.mark.parametrize(
    ("gate", "holds"),
    [
        ({"metric": "perplexity", "maxDrop": "0.03"}, True),
        ({"metric": "perplexity", "maxDrop": "0.02"}, False),
        ({"metric": "agreement", "maxDrop": "0.03"}, True),
        ({"metric": "agreement", "maxDrop": "0.02"}, False),
        ({"metric": "kl", "maxDrop": "0"}, False),
    ],
)
def test_each_metric_is_judged_by_what_is_lost(gate: dict[str, str], *, holds: bool) -> None:
    """Perplexity by the share it rises, agreement by the share that is gone, KL as it is."""
    one, over, its_pod = finished(gate=gate)
    assert (passed(looked(one, over, pods=(its_pod,))).reason == "Built") == holds


def test_what_was_not_measured_passes_no_gate() -> None:
    """A number that is missing, or none, fails the gate."""
    one, over, _ = finished(**GATED)
    for kl in ("nan", "", None, "much", "inf"):
        desired = passed(looked(one, over, pods=(pod(over, done(kl=kl)),)))
        assert desired.reason == "GateFailed"
        assert "was not measured" in desired.sentence


def test_a_second_identical_build_starts_nothing() -> None:
    """Once one object knows the artifact, an equal one is Ready at the first look: no Job."""
    one, over, its_pod = finished()
    told = reported(one, passed(looked(one, over, pods=(its_pod,))))
    desired = passed(looked(build("second", **GATED), told))
    assert desired.reason == "Built"
    assert not desired.writes
    assert "job" not in desired.status


def test_what_is_known_needs_no_job_and_no_pod() -> None:
    """When Job and pods are gone, the object still knows its artifact."""
    one, over, its_pod = finished(**GATED)
    told = reported(one, passed(looked(one, over, pods=(its_pod,))))
    desired = passed(looked(told))
    assert (desired.reason, desired.writes) == ("Built", ())
    assert desired.status["quality"] == told["status"]["quality"]


def test_another_gate_judges_the_same_artifact_anew() -> None:
    """A stricter gate on a complete artifact fails at once; nothing is built."""
    one, over, its_pod = finished(**GATED)
    told = reported(one, passed(looked(one, over, pods=(its_pod,))))
    told["spec"] = {**told["spec"], "gate": {"metric": "kl", "maxDrop": "0"}}
    desired = passed(looked(told))
    assert (desired.reason, desired.writes) == ("GateFailed", ())


def test_an_upgrade_of_the_platform_builds_nothing_anew() -> None:
    """What has begun with a builder's image stays with it; what comes later takes the new one."""
    one, over, its_pod = finished()
    told = reported(one, passed(looked(one, over, pods=(its_pod,))))
    newer = Platform(images={**IMAGES, "llm-compressor": "registry.example.com/llm-compressor:2"})
    assert passed(looked(told), newer).writes == ()
    assert passed(looked(told), newer).status["digest"] == told["status"]["digest"]
    assert "Job" in made(passed(looked(build("later"), told), newer).writes)


def test_a_build_whose_last_words_are_lost_is_done_again() -> None:
    """A Job that ended well and whose pod is gone is taken away; the next look makes another."""
    one = build()
    (write,) = passed(looked(one, job(one, end="Complete"))).writes
    assert isinstance(write, Delete)


def test_the_recipe_of_before_is_left() -> None:
    """Who asks for something else leaves its old Job: to the others, or to nobody."""
    old, other = build("one"), build("other")
    changed = build("one", method="RTN")
    shared = job(old, other)
    writes = passed(looked(changed, other, shared)).writes
    (left,) = (w for w in writes if isinstance(w, Replace))
    assert [o["name"] for o in left.manifest["metadata"]["ownerReferences"]] == ["other"]
    (gone,) = (w for w in passed(looked(changed, job(old))).writes if isinstance(w, Delete))
    assert gone.ref.name == job(old)["metadata"]["name"]
    assert any(isinstance(w, Create) and w.manifest["kind"] == "Job" for w in writes)


def test_progress_is_told() -> None:
    """The container's last line gives stage, percent and time left."""
    one = build()
    begun = job(one)
    line = {"event": "progress", "stage": "make", "percent": 60, "done": 43, "etaSeconds": 700}
    desired = passed(
        looked(one, begun, pods=(pod(begun, {"running": {"startedAt": ago()}}),), progress=line)
    )
    assert desired.reason == "Building"
    assert desired.sentence == "building W4A16 by GPTQ: make, 43% done, about 11 min left"
    assert desired.status["progress"] == {"stage": "make", "percent": 43, "etaSeconds": 700}


@pytest.mark.parametrize(
    ("own", "platform", "queue"),
    [("mine", "spare", "mine"), (None, "spare", "spare"), (None, None, None)],
    ids=["its own", "the platform's", "none"],
)
def test_a_build_waits_in_the_queue_that_is_named(
    own: str | None, platform: str | None, queue: str | None
) -> None:
    """Kueue finds the Job by its label; a suspended Job is told to wait for its turn."""
    one = build()
    one["metadata"]["labels"] = {QUEUE: own} if own else {}
    where = Platform(images=IMAGES, build_queue=platform, build_priority_class="humble")
    begun = made(passed(looked(one), where).writes)["Job"]
    assert begun["metadata"]["labels"].get(QUEUE) == queue
    assert "suspend" not in begun["spec"]  # that is Kueue's to say
    assert begun["spec"]["template"]["spec"]["priorityClassName"] == "humble"
    held = {**job(one), "spec": {**begun["spec"], "suspend": True}}
    assert passed(looked(one, held), where).reason == "Queued"


WAITING = {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}
CAUSES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "OOM": (ended(137, "OOMKilled"), {}, "OutOfMemory"),
    "told": (
        ended(1, "Error", event="failed", reason="DiskFull", message="no room", hint="more room"),
        {},
        "DiskFull",
    ),
    "untold": (ended(1, "Error"), {}, "BuildFailed"),
    "image": (WAITING, {}, "ImagePullFailed"),
    "evicted": ({}, {"phase": "Failed", "reason": "Evicted", "message": "low"}, "Evicted"),
    "gated source": (
        {},
        {
            "initContainerStatuses": [
                {
                    "name": "weights",
                    "state": ended(
                        1, "Error", reason="WeightsForbidden", message="gated", action="a token"
                    ),
                }
            ]
        },
        "WeightsForbidden",
    ),
}


@pytest.mark.parametrize(("state", "status", "reason"), CAUSES.values(), ids=CAUSES)
def test_a_cause_is_told_with_what_to_do(
    state: dict[str, Any], status: dict[str, Any], reason: str
) -> None:
    """What a pod fails of reaches Ready: while the Job tries again, and when it has given up."""
    one = build()
    for end in ("", "Failed"):
        begun = job(one, end=end)
        phase = {} if "waiting" in state else {"phase": "Failed"}
        desired = passed(looked(one, begun, pods=(pod(begun, state, **phase | status),)))
        assert desired.reason == reason
        assert ": " in desired.sentence
        helpless = end or "waiting" in state
        assert condition(desired, "Stalled")["status"] == ("True" if helpless else "False")
        assert not desired.writes


def test_a_failed_build_is_done_again_when_it_is_asked_otherwise() -> None:
    """More memory after an OOM takes the failed Job away, and the next look makes another."""
    one = build()
    over = job(one, end="Failed")
    killed = (pod(over, ended(137, "OOMKilled")),)
    more = build(resources={"memory": "64Gi"})
    (write,) = passed(looked(more, over, pods=killed)).writes
    assert isinstance(write, Delete)
    (again,) = (m for k, m in made(passed(looked(more)).writes).items() if k == "Job")
    assert again["metadata"]["name"] == over["metadata"]["name"]


def test_pods_of_an_earlier_job_say_nothing() -> None:
    """A pod that is left of a Job that was taken away is no cause for the next one."""
    one = build()
    over = job(one, end="Failed")
    left = pod(over, ended(137, "OOMKilled"))
    again = {**job(one), "metadata": {**over["metadata"], "uid": "another"}}
    assert passed(looked(one, again, pods=(left,))).reason == "Pending"


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"method": "MAGIC"}, "MethodUnknown"),
        ({"options": {"scheme": "W1A1"}}, "SchemeUnknown"),
        ({"options": {"bits": 5}}, "SchemeUnknown"),
        ({"method": "FP8", "options": {"groupSize": 64}}, "GroupSizeMismatch"),
        ({"source": {"uri": "ftp://x"}}, "InvalidUri"),
        ({"options": {"bits": "four"}}, "InvalidSpec"),
        ({"options": {"calibration": {"dataset": "pvc://a/../b"}}}, "InvalidUri"),
    ],
)
def test_what_cannot_be_built_is_refused_before_any_job(spec: dict[str, Any], reason: str) -> None:
    """What can be known from the object alone starts no Job, and says what to change."""
    desired = passed(looked(build(**spec)))
    assert (desired.reason, desired.writes) == (reason, ())
    assert condition(desired, "Stalled")["status"] == "True"


def test_an_image_that_the_platform_lacks_is_told() -> None:
    """Without the builder's image nothing is made, and the operator's owner is asked for it."""
    desired = passed(looked(build()), Platform(images={"modelops": "m:1"}))
    assert (desired.reason, desired.writes) == ("ImageUnknown", ())


def test_a_second_pass_writes_nothing() -> None:
    """What was made is as it shall be."""
    one = build()
    found = made(passed(looked(one)).writes)
    live = [{**m, "metadata": {**m["metadata"], "uid": f"u-{k}"}} for k, m in found.items()]
    assert passed(looked(one, *live)).writes == ()


def test_words_of_a_hostile_container_fit_the_status() -> None:
    """Whatever a container says, the status is of its type."""
    one = build()
    over = job(one, end="Complete")
    words = {"bytesBefore": "9", "bytesAfter": -1, "quality": {"kl": [], "agreement": "1e999999"}}
    desired = passed(looked(one, over, pods=(pod(over, ended(**words)),)))
    status = ModelBuildStatus.model_validate(desired.status)
    assert (status.bytes_before, status.quality) == (None, None)
    odd = {"event": "progress", "stage": "x\ny" * 99, "percent": 10**9, "etaSeconds": -1}
    running = pod(job(one), {"running": {}})
    told = passed(looked(one, job(one), pods=(running,), progress=odd)).status
    assert ModelBuildStatus.model_validate(told).progress


def test_text_of_ones_own_is_mounted_where_it_is_used() -> None:
    """A calibration file on a claim reaches the container read-only; without use it is left out."""
    options = {"calibration": {"dataset": "pvc://texts/chat/lines.jsonl"}}
    spec = made(passed(looked(build(options=options))).writes)["Job"]["spec"]["template"]["spec"]
    assert "--calibration=/calibration/chat/lines.jsonl" in spec["containers"][0]["command"]
    claim = {"claimName": "texts", "readOnly": True}
    assert {"name": "calibration", "persistentVolumeClaim": claim} in spec["volumes"]
    plain = build(method="FP8", options=options)
    names = made(passed(looked(plain)).writes)["Job"]["spec"]["template"]["spec"]["volumes"]
    assert "calibration" not in {volume["name"] for volume in names}
