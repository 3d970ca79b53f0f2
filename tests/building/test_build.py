"""One build from recipe to artifact, by a toy tool in a real process."""

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from building.conftest import CONFIG, RECIPE, Place
from modelops.builders.recipe import as_recipe, digest
from modelops.builders.tools import BUILDERS

Build = Callable[..., dict[str, Any]]


def test_an_artifact_is_made(build: Build, place: Place) -> None:
    """It lies under the recipe's digest, with all of its files in the manifest, and a report."""
    done = build()
    assert done["code"] == 0
    assert done["reason"] == "Built"
    recipe = as_recipe(RECIPE)
    assert done["digest"] == digest(BUILDERS["llm-compressor"].complete(recipe))
    (folder,) = place.artifacts
    assert folder.name == done["digest"]
    manifest = json.loads((folder / "artifact.json").read_text())
    there = {path.name for path in folder.iterdir()} - {"artifact.json"}
    assert there == {entry["path"] for entry in manifest["files"]}
    assert there >= {"config.json", "model.safetensors", "tokenizer.json", "report.html"}
    for entry in manifest["files"]:
        content = (folder / entry["path"]).read_bytes()
        assert (entry["bytes"], entry["sha256"]) == (len(content), sha256(content).hexdigest())
    assert manifest["recipe"]["options"]["groupSize"] == 32
    assert manifest["lineage"]["tools"] == {"toy": "1"}
    assert not list(place.store.glob("*.partial"))


def test_the_last_words_tell_what_the_operator_needs(build: Build) -> None:
    """Digest, bytes, quality, the verdict and the lineage fit what the kubelet keeps."""
    done = build()
    assert len(json.dumps(done)) - len(json.dumps(done["events"])) < 4096
    assert done["bytesBefore"] == done["bytesAfter"] > 0
    assert done["quality"]["kl"] == 0.02
    assert done["gate"]["passed"]
    assert done["lineage"]["source"]["uri"] == "hf://o/n"


def test_progress_only_grows(build: Build) -> None:
    """Each line tells something new, and how much is done never falls."""
    events = build()["events"][:-1]
    assert [e["stage"] for e in events if e["percent"] == 0] == [
        "check", "make", "measure", "report", "seal",
    ]  # fmt: skip
    shares = [event["done"] for event in events]
    assert shares == sorted(shares)
    assert len({json.dumps(event) for event in events}) == len(events)


def test_a_second_build_works_nothing(build: Build) -> None:
    """A complete artifact is found; its last words tell the same of it."""
    first, second = build(), build(TOY="dies")
    assert second["reason"] == "AlreadyBuilt"
    assert second["code"] == 0
    same = ("digest", "quality", "gate", "bytesBefore", "bytesAfter", "lineage")
    assert {k: first[k] for k in same} == {k: second[k] for k in same}
    assert second["gpuSeconds"] == 0


def test_another_gate_judges_the_same_artifact(build: Build, place: Place) -> None:
    """A failing gate is exit 0 and keeps the artifact; a kinder one finds it good."""
    strict = build({"gate": {"metric": "kl", "maxDrop": "0.001"}})
    assert strict["code"] == 0
    assert not strict["gate"]["passed"]
    assert "but at most 0.001 nats" in strict["message"]
    kind = build({"gate": {"metric": "perplexity", "maxDrop": "0.06"}}, TOY="dies")
    assert kind["gate"]["passed"]
    assert "5.00%" in kind["message"]
    assert len(place.artifacts) == 1


@pytest.mark.parametrize("damage", ["changed", "missing", "extra", "manifest"])
def test_a_damaged_artifact_is_built_anew(damage: str, build: Build, place: Place) -> None:
    """What is not as its manifest says is never taken for complete."""
    build()
    (folder,) = place.artifacts
    model = folder / "model.safetensors"
    if damage == "changed":
        model.write_bytes(model.read_bytes()[:-1] + b"x")
    elif damage == "missing":
        model.unlink()
    elif damage == "extra":
        (folder / "more.safetensors").touch()
    else:
        (folder / "artifact.json").write_text("{")
    assert build()["reason"] == "Built"
    assert build()["reason"] == "AlreadyBuilt"


CAUSES = {
    "dies": ("OutOfMemory", "resources.memory", 1),
    "memory": ("OutOfMemory", "resources.memory", 1),
    "oom": ("OutOfMemory", "larger GPU", 1),
    "full": ("DiskFull", "more room", 1),
    "silent": ("ToolFailed", "log", 1),
    "quits": ("ToolFailed", "log", 1),
    "lies": ("CalibrationInvalid", "give more", 2),
    "strange": ("ArchitectureUnsupported", "newer builder image", 1),
}


@pytest.mark.parametrize("toy", CAUSES)
def test_a_tool_that_fails_is_told_by_its_cause(toy: str, build: Build, place: Place) -> None:
    """Cause, next action and whether trying again helps are told; the next run begins well."""
    reason, hint, code = CAUSES[toy]
    failed = build(TOY=toy)
    assert failed["event"] == "failed"
    assert (failed["reason"], failed["code"]) == (reason, code)
    assert hint in failed["hint"]
    assert not place.artifacts
    assert build()["reason"] == "Built"


def test_a_recipe_that_cannot_be_built_is_refused_first(build: Build, place: Place) -> None:
    """The model's own facts count, and nothing is begun."""
    refused = build({"options": {"groupSize": 48}})
    assert (refused["reason"], refused["code"]) == ("GroupSizeMismatch", 2)
    assert not list(place.store.glob("*.partial"))
    assert build({"surprise": 1})["reason"] == "RecipeInvalid"
    assert build({"builder": "other"})["reason"] == "MethodUnknown"


def test_pickled_weights_are_refused(build: Build, place: Place) -> None:
    """The hint tells how to convert them."""
    (place.source / "model.safetensors").rename(place.source / "pytorch_model.bin")
    refused = build()
    assert (refused["reason"], refused["code"]) == ("WeightsUnsafe", 2)
    assert "save_pretrained" in refused["hint"]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda place: (place.source / "config.json").unlink(), "SourceMissing"),
        (lambda place: (place.source / "config.json").write_text("{"), "SourceMissing"),
        (lambda place: (place.source / "model.safetensors").unlink(), "WeightsIncomplete"),
        (
            lambda place: (place.source / "config.json").write_text(
                json.dumps(CONFIG | {"quantization_config": {"quant_method": "fp8"}})
            ),
            "AlreadyQuantized",
        ),
    ],
    ids=["no configuration", "no JSON", "no weights", "quantized"],
)
def test_a_source_that_is_no_model_is_refused(
    spoil: Callable[[Place], None], reason: str, build: Build, place: Place
) -> None:
    """What is wrong with the source is told, and that trying again is of no use."""
    spoil(place)
    refused = build()
    assert (refused["reason"], refused["code"]) == (reason, 2)


def test_a_calibration_that_is_not_there_is_refused(build: Build) -> None:
    """A dataset of one's own has to be given to the container."""
    dataset = {"options": {"calibration": {"dataset": "pvc://a/b", "sequenceLength": 64}}}
    refused = build({"method": "GPTQ"} | {"options": dataset["options"] | {"groupSize": 32}})
    assert refused["reason"] == "CalibrationInvalid"
    assert refused["code"] == 2


def test_a_store_that_cannot_be_written_is_told(build: Build, place: Place) -> None:
    """The volume is to blame, and the hint says so."""
    place.store.touch()
    told = build()
    assert (told["reason"], told["code"]) == ("StoreUnusable", 1)


def test_a_disk_that_is_too_small_is_told_before_the_work(build: Build, place: Place) -> None:
    """What the base's distributions take counts too; nothing is begun."""
    config = place.source / "config.json"
    config.write_text(json.dumps(CONFIG | {"vocab_size": 2**39}))
    told = build()
    assert (told["reason"], told["code"]) == ("DiskFull", 1)
    assert not list(place.store.glob("*.partial"))
