"""What the builders know, and what they refuse before anything runs."""

from dataclasses import replace
from typing import Any, get_args

import pytest

from modelops.api.kinds import KINDS
from modelops.builders.builder import Builder, command
from modelops.builders.recipe import (
    Calibration,
    Gate,
    Metric,
    Options,
    Recipe,
    Source,
    digest,
)
from modelops.builders.refused import Refused
from modelops.builders.tools import BUILDERS, METHODS
from modelops.registry.configuration import Configuration

every_builder = pytest.mark.parametrize("builder", BUILDERS.values(), ids=lambda b: str(b.name))
LLM = BUILDERS["llm-compressor"]
LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 512,
    "max_position_embeddings": 2048,
    "num_attention_heads": 4,
    "head_dim": 64,
}


def recipe(method: str = "GPTQ", **options: Any) -> Recipe:
    """Return a recipe of llm-compressor."""
    return Recipe(
        Source("hf://o/n", "aa"), "llm-compressor", "i@sha256:1", method, Options(**options)
    )


@every_builder
def test_a_builder_is_complete(builder: Builder) -> None:
    """It builds for kinds that exist, and each method has a scheme and a description.

    What no kind serves is served on no device.
    """
    schemes = [scheme for method in builder.methods.values() for scheme in method.schemes]
    assert builder.kinds or not any(scheme.served_on for scheme in schemes)
    assert builder.kinds <= KINDS.keys()
    assert builder.description.endswith(".")
    for name, method in builder.methods.items():
        assert METHODS[name] == builder.name
        assert method.schemes
        assert method.description


@every_builder
def test_what_is_completed_is_complete(builder: Builder) -> None:
    """Completing twice changes nothing, and a completed recipe is one that holds."""
    for method in builder.methods:
        asked = replace(recipe(method), builder=builder.name)
        full = builder.complete(asked)
        assert builder.complete(full) == full
        assert full.options.scheme
        builder.check(full)


def test_defaults_and_the_same_written_out_are_one_recipe() -> None:
    """Equal recipes have one digest, however much of them was written."""
    short = LLM.complete(recipe())
    long = LLM.complete(
        recipe(
            scheme="W4A16", bits=4, group_size=128, calibration=Calibration(), ignore=("lm_head",)
        )
    )
    assert digest(short) == digest(long)
    unordered = [LLM.complete(recipe(ignore=names)) for names in (("a", "b"), ("b", "a"))]
    assert digest(unordered[0]) == digest(unordered[1])


def test_calibration_counts_only_where_it_is_used() -> None:
    """A scheme without calibration is one artifact, whatever text was given."""
    with_text = LLM.complete(recipe("FP8", calibration=Calibration(samples=7)))
    assert digest(with_text) == digest(LLM.complete(recipe("FP8")))


@pytest.mark.parametrize(
    ("method", "options", "scheme"),
    [
        ("GPTQ", {}, "W4A16"),
        ("GPTQ", {"bits": 8}, "W8A16"),
        ("GPTQ", {"scheme": "W8A8"}, "W8A8"),
        ("AWQ", {}, "W4A16_ASYM"),
        ("FP8", {}, "FP8_DYNAMIC"),
        ("FP8", {"scheme": "FP8_BLOCK"}, "FP8_BLOCK"),
    ],
)
def test_options_name_the_scheme(method: str, options: dict[str, Any], scheme: str) -> None:
    """The scheme is the first that fits what was asked for."""
    assert LLM.scheme(recipe(method, **options)).name == scheme


REFUSED: dict[str, tuple[str, dict[str, Any], dict[str, Any], str, str]] = {
    "method": ("QUIP", {}, {}, "MethodUnknown", "GPTQ, AWQ"),
    "scheme": ("GPTQ", {"scheme": "W2A16"}, {}, "SchemeUnknown", "W4A16"),
    "bits": ("GPTQ", {"bits": 3}, {}, "SchemeUnknown", "8 bits"),
    "contradiction": ("GPTQ", {"bits": 8, "scheme": "W4A16"}, {}, "SchemeUnknown", "W4A16"),
    "group of hidden": ("GPTQ", {"group_size": 96}, {}, "GroupSizeMismatch", "hidden_size of 256"),
    "group of inter": (
        "RTN", {}, {"intermediate_size": 2000}, "GroupSizeMismatch", "of 2000; 16 does",
    ),
    "group of experts": (
        "RTN", {}, {"moe_intermediate_size": 100}, "GroupSizeMismatch", "moe_intermediate_size",
    ),
    "group of heads": ("RTN", {}, {"num_attention_heads": 3}, "GroupSizeMismatch", "of 192; 64"),
    "group without groups": ("FP8", {"group_size": 64}, {}, "GroupSizeMismatch", "leave"),
    "encoder": (
        "GPTQ", {}, {"architectures": ["BertModel"]}, "ArchitectureUnsupported", "BertModel",
    ),
    "nameless": ("GPTQ", {}, {"architectures": None}, "ArchitectureUnsupported", "names no"),
    "unmapped": (
        "AWQ", {}, {"architectures": ["OtherForCausalLM"]}, "ArchitectureUnsupported", "GPTQ, FP8",
    ),
    "quantized": (
        "FP8", {}, {"quantization_config": {"quant_method": "awq"}}, "AlreadyQuantized", "awq",
    ),
    "hostile width": (
        "RTN", {}, {"hidden_size": "many"}, "ArchitectureUnsupported", "hidden_size is 'many'",
    ),
    "hostile words": (
        "FP8", {}, {"vocab_size": -1}, "ArchitectureUnsupported", "vocab_size is '-1'",
    ),
    "long samples": (
        "GPTQ",
        {"calibration": Calibration(sequence_length=4096)},
        {},
        "CalibrationInvalid",
        "2048 or less",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_built_is_refused_with_the_next_action(case: str) -> None:
    """A refusal names the cause by a stable reason, and what to change."""
    method, options, config, reason, told = REFUSED[case]
    with pytest.raises(Refused) as refused:
        LLM.check(recipe(method, **options), Configuration(LLAMA | config))
    assert refused.value.reason == reason
    assert told in str(refused.value)
    assert refused.value.action


@pytest.mark.parametrize("method", [m.name for m in LLM.methods.values()])
def test_a_llama_is_built_by_every_method(method: str) -> None:
    """Nothing is refused of a model that every method knows."""
    LLM.check(recipe(method), Configuration(LLAMA))


def test_the_container_is_told_where_all_is() -> None:
    """The command line names the recipe, the source and the store."""
    assert command("/recipe/recipe.json", "/weights/model", "/artifacts")[3:] == (
        "--recipe=/recipe/recipe.json",
        "--source=/weights/model",
        "--out=/artifacts",
    )


def test_memory_grows_with_the_source() -> None:
    """What is asked for is at least what the weights take."""
    assert LLM.memory(16 * 1024**3) > 16 * 1024**3
    assert LLM.memory(0) > 0


PIPELINES = BUILDERS["diffusers"]


def pictures(gate: Gate) -> Recipe:
    """Return a recipe for a pipeline of pictures."""
    return Recipe(Source("hf://o/n", "aa"), "diffusers", "i@sha256:1", "Int8WeightOnly", gate=gate)


@every_builder
def test_the_usual_gate_is_one_that_the_builder_measures(builder: Builder) -> None:
    """A gate without a metric is completed; one that is not measured is refused, with those are."""
    method = next(iter(builder.methods))
    asked = replace(recipe(method), builder=builder.name)
    assert builder.complete(asked).gate.metric == builder.metrics[0]
    other = next(m for m in get_args(Metric) if m not in builder.metrics)
    with pytest.raises(Refused, match=builder.metrics[0]) as refused:
        builder.check(replace(asked, gate=Gate(other)))
    assert refused.value.reason == "MetricUnknown"


def test_a_gate_without_a_metric_is_the_same_artifact() -> None:
    """The gate is no part of the address, whether its metric was written or not."""
    full = [PIPELINES.complete(pictures(gate)) for gate in (Gate(), Gate("ssim", "0.2"))]
    assert digest(full[0]) == digest(full[1])


@pytest.mark.parametrize("index", [{}, {"_class_name": "UNet2DConditionModel"}])
def test_what_is_no_pipeline_is_refused(index: dict[str, Any]) -> None:
    """A model_index.json names a pipeline; language models' checks are not asked of it."""
    PIPELINES.check(pictures(Gate()), Configuration({"_class_name": "FluxPipeline"}))
    with pytest.raises(Refused) as refused:
        PIPELINES.check(pictures(Gate()), Configuration(index))
    assert refused.value.reason == "ArchitectureUnsupported"


@pytest.mark.parametrize(
    ("architecture", "taken"),
    [
        ("BertModel", True),
        ("ViTForImageClassification", True),
        ("YolosForObjectDetection", True),
        ("LlamaForCausalLM", False),
        (None, False),
    ],
)
def test_onnx_takes_what_sees_and_what_encodes(
    architecture: str | None,
    taken: bool,  # noqa: FBT001
) -> None:
    """Vision models and encoders are exported; a language model is refused before the Job."""
    asked = Recipe(Source("hf://o/n", "aa"), "onnx", "i@sha256:1", "ONNX")
    config = Configuration({"architectures": [architecture], "model_type": "any"})
    if taken:
        BUILDERS["onnx"].check(asked, config)
        return
    with pytest.raises(Refused) as refused:
        BUILDERS["onnx"].check(asked, config)
    assert refused.value.reason == "ArchitectureUnsupported"
