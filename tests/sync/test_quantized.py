"""The laws of a model whose weights are made smaller before they are served."""

from collections.abc import Mapping
from typing import Any

from modelops.api.builds.modelbuild import ModelBuildSpec
from modelops.sync.desired import INTENT, SCALER, Apply, Delete, Desired
from modelops.sync.observed import BUILD
from sync.world import condition, deployment, manifests, model, passed, pod, running, seen

QUANTIZED = {"quantization": {"method": "GPTQ", "gate": {"maxDrop": "0.05"}}}
MADE = "pvc://modelops-artifacts/artifacts/abc"


def applied(desired: Desired, manager: str = INTENT) -> dict[str, Mapping[str, Any]]:
    """Return what a pass applies, by kind."""
    found = (w for w in desired.writes if isinstance(w, Apply) and w.manager == manager)
    return {str(one.manifest["kind"]): one.manifest for one in found}


def child(resource: dict[str, Any], reason: str, *, ready: bool = False) -> dict[str, Any]:
    """Return the ModelBuild of a model, as the API server holds it with a status."""
    manifest = applied(passed(seen(resource)))[BUILD.kind]
    told = [
        {"type": "Ready", "status": str(ready), "reason": reason, "message": f"{reason} told"},
        {"type": "Stalled", "status": str(reason == "GateFailed"), "reason": reason, "message": ""},
    ]
    status = {"observedGeneration": 1, "conditions": told, "artifact": MADE}
    return {
        **manifest,
        "metadata": {**manifest["metadata"], "uid": "b", "generation": 1},
        "status": status,
    }


def test_a_quantized_model_has_a_build_of_its_own_and_no_pods_yet() -> None:
    """At first there is nothing to serve: its ModelBuild is made, and no Deployment."""
    desired = passed(seen(model(**QUANTIZED)))
    found = applied(desired)
    assert set(found) == {"ModelBuild", "Service"}
    spec = ModelBuildSpec.model_validate(found["ModelBuild"]["spec"])
    assert (spec.method, spec.source.uri) == ("GPTQ", "pvc://models/tiny-llama")
    assert found["ModelBuild"]["metadata"]["name"] == "tiny-build"
    assert (desired.reason, condition(desired, "Ready")["status"]) == ("Building", "False")


def test_a_builds_progress_is_the_models() -> None:
    """While its ModelBuild is at work the model says how far that is."""
    resource = model(**QUANTIZED)
    desired = passed(seen(resource, child(resource, "Building")))
    assert desired.sentence == "0 of 1 replica; ModelBuild tiny-build: Building told"
    assert "Deployment" not in applied(desired)


def test_the_artifact_is_served_once_it_is_ready() -> None:
    """The Deployment mounts the claim of the artifact, read-only, and engines read it there."""
    resource = model(**QUANTIZED)
    desired = passed(seen(resource, child(resource, "Built", ready=True)))
    template = applied(desired)["Deployment"]["spec"]["template"]["spec"]
    claim = {"claimName": "modelops-artifacts", "readOnly": True}
    assert {"name": "stored", "persistentVolumeClaim": claim} in template["volumes"]
    assert f"--uri={MADE}" in template["initContainers"][0]["args"]


def test_the_old_version_serves_until_the_new_one_is_built() -> None:
    """On a change the Deployment is left as it is and only scaled; Ready says so."""
    plain = model()
    resource = model(**QUANTIZED)
    live, its_pod = deployment(plain), pod(plain, running())
    desired = passed(seen(resource, live, child(resource, "Building"), pods=(its_pod,)))
    assert "Deployment" not in applied(desired)
    assert applied(desired, SCALER)["Deployment"]["spec"] == {"replicas": 1}
    assert not [w for w in desired.writes if isinstance(w, Delete)]
    assert desired.sentence.startswith("1 of 1 replica; ModelBuild tiny-build: Building told")
    assert desired.sentence.endswith("what served before goes on serving")
    assert condition(desired, "Available")["status"] == "True"


def test_a_gate_that_fails_leaves_the_old_version_serving() -> None:
    """Ready is false with the build's own reason and words, and nothing moves."""
    plain, resource = model(), model(**QUANTIZED)
    live, its_pod = deployment(plain), pod(plain, running())
    desired = passed(seen(resource, live, child(resource, "GateFailed"), pods=(its_pod,)))
    assert desired.reason == "GateFailed"
    assert "GateFailed told" in desired.sentence
    assert condition(desired, "Stalled")["status"] == "True"
    assert "Deployment" not in applied(desired)


def test_going_back_is_removing_the_field() -> None:
    """Without the field the base's weights are served, and the ModelBuild goes once they are."""
    plain, resource = model(), model(**QUANTIZED)
    built = child(resource, "Built", ready=True)
    before = passed(seen(resource, built))
    old = applied(before)["Deployment"]
    back = passed(seen(plain, built, {**old, "metadata": {**old["metadata"], "uid": "d"}}))
    plain_template = manifests(plain)["Deployment"]["spec"]["template"]
    assert applied(back)["Deployment"]["spec"]["template"] == plain_template
    assert not [w for w in back.writes if isinstance(w, Delete)]
    served = passed(seen(plain, built, deployment(plain), pods=(pod(plain, running()),)))
    assert [w.ref.kind for w in served.writes if isinstance(w, Delete)] == ["ModelBuild"]


def test_a_changed_build_is_not_taken_for_the_old_one() -> None:
    """An artifact counts only for the very spec that it was made of."""
    resource = model(**QUANTIZED)
    built = child(resource, "Built", ready=True)
    other = model(quantization={"method": "RTN"})
    assert passed(seen(other, built)).reason == "Building"
    newer = {**built, "metadata": {**built["metadata"], "generation": 2}}
    assert passed(seen(resource, newer)).reason == "Building"


def test_the_claim_of_before_is_kept_for_going_back() -> None:
    """A model that was served from its own claim keeps it while its artifact serves."""
    hub = {"model": {"uri": "hf://owner/name"}}
    plain, resource = model(**hub), model(**hub, **QUANTIZED)
    claim = manifests(plain)["PersistentVolumeClaim"]
    live = {**claim, "metadata": {**claim["metadata"], "uid": "c"}}
    built = child(resource, "Built", ready=True)
    assert "PersistentVolumeClaim" in applied(passed(seen(resource, built, live)))
    assert "PersistentVolumeClaim" not in applied(passed(seen(resource, built)))


def test_a_shared_cache_keeps_the_artifact_too() -> None:
    """A model whose weights are kept on a claim of the user's has its artifact there."""
    resource = model(
        model={"uri": "hf://owner/name"},
        cache={"claimName": "mine"},
        quantization=QUANTIZED["quantization"],
    )
    spec = applied(passed(seen(resource)))["ModelBuild"]["spec"]
    assert spec["output"] == {"claim": {"claimName": "mine"}}


def test_a_method_that_nobody_knows_is_refused() -> None:
    """A method that no builder knows for the kind makes nothing, and says which there are."""
    desired = passed(seen(model(quantization={"method": "MAGIC"})))
    assert (desired.reason, desired.writes) == ("MethodUnknown", ())
    assert "GPTQ" in desired.sentence


def test_what_no_engine_would_serve_is_refused_before_it_is_built() -> None:
    """A scheme that the engine does not know on the model's device starts no build there."""
    fp4 = {"quantization": {"method": "NVFP4"}}
    desired = passed(seen(model(**fp4)))
    assert (desired.reason, desired.writes) == ("SchemeUnserved", ())
    assert "W4A16" in desired.sentence
    on_gpu = passed(seen(model(**fp4, resources={"accelerator": {"count": 1}})))
    assert "ModelBuild" in applied(on_gpu)


def test_what_is_built_decides_what_serves_it() -> None:
    """GGUF is served by llama.cpp; what vLLM reads, and what is not built at all, by vLLM."""
    for method, runtime in (("GGUF", "llama-cpp"), ("GGUF_IMATRIX", "llama-cpp"), ("GPTQ", "vllm")):
        desired = passed(seen(model(quantization={"method": method})))
        assert desired.status["runtime"] == runtime
    assert passed(seen(model())).status["runtime"] == "vllm"
