"""The facts of a model: counted from headers, or derived from its configuration."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from modelops.registry.architecture import describe
from modelops.registry.configuration import Configuration, read_configuration
from modelops.registry.tensors import Tensor, read_tensors

SCRIPT = Path(__file__).parents[2] / "runtimes" / "vllm" / "tiny_llama.py"


def config(family: str, shape: tuple[int, ...], **more: Any) -> Configuration:
    """Make a configuration: width, layers, heads, key-value heads, MLP width, words."""
    keys = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
            "intermediate_size", "vocab_size")  # fmt: skip
    return Configuration({"model_type": family, **dict(zip(keys, shape, strict=True)), **more})


# The shapes are those of the published config.json; the totals those that public
# repositories quote from the hub as
# `safetensors.total` of meta-llama/Llama-3.1-8B, Qwen/Qwen3-0.6B, Qwen/Qwen2.5-7B,
# mistralai/Mixtral-8x7B-v0.1, mistralai/Mistral-7B-v0.1, google/gemma-2b, google/gemma-2-2b,
# microsoft/Phi-3-mini-4k-instruct, Qwen/Qwen3-30B-A3B, and for EleutherAI/pythia-6.9b and
# DeepSeek-V3 (without its prediction layer) what loading them counts; the cache follows from
# 2 x layers x key-value heads x head width x 2 bytes, for DeepSeek (512 + 64) x 61 x 2.
PUBLISHED = [
    (config("llama", (4096, 32, 32, 8, 14336, 128256)), 8_030_261_248, 131_072),
    (
        config("qwen3", (1024, 28, 16, 8, 3072, 151936), head_dim=128, tie_word_embeddings=True),
        596_049_920,
        114_688,
    ),
    (config("qwen2", (3584, 28, 28, 4, 18944, 152064)), 7_615_616_512, 57_344),
    (
        config("mixtral", (4096, 32, 32, 8, 14336, 32000), num_local_experts=8),
        46_702_792_704,
        131_072,
    ),
    (config("mistral", (4096, 32, 32, 8, 14336, 32000)), 7_241_732_096, 131_072),
    (config("gemma", (2048, 18, 8, 1, 16384, 256000), head_dim=256), 2_506_172_416, 18_432),
    (config("gemma2", (2304, 26, 8, 4, 9216, 256000), head_dim=256), 2_614_341_888, 106_496),
    (config("phi3", (3072, 32, 32, 32, 8192, 32064)), 3_821_079_552, 393_216),
    (config("gpt_neox", (4096, 32, 32, 32, 16384, 50432)), 6_857_302_016, 524_288),
    (
        config("qwen3_moe", (2048, 48, 32, 4, 6144, 151936), head_dim=128, num_experts=128,
               moe_intermediate_size=768),
        30_532_122_624,
        98_304,
    ),
    (
        config("deepseek_v3", (7168, 61, 128, 128, 18432, 129280), moe_intermediate_size=2048,
               n_routed_experts=256, n_shared_experts=1, first_k_dense_replace=3,
               q_lora_rank=1536, kv_lora_rank=512, qk_rope_head_dim=64, qk_nope_head_dim=128,
               v_head_dim=128),
        671_026_419_200,
        70_272,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("known", "parameters", "kv"), PUBLISHED, ids=lambda v: str(v)[:40])
def test_published_models_are_counted_to_the_parameter(
    known: Configuration, parameters: int, kv: int
) -> None:
    """From config.json alone, the count and the cache are those that are published."""
    model = describe(known, ())
    assert model.weights.parameters == parameters
    assert model.cache
    assert model.cache.bytes_per_token == kv


def test_an_unknown_family_is_not_guessed() -> None:
    """A family that cannot be derived has no count, no size and no cache, and a note says so."""
    model = describe(config("strange", (64, 2, 4, 4, 128, 100)), ())
    assert (model.weights.parameters, model.weights.size, model.cache) == (None, None, None)
    assert "strange" in model.notes[0]


def tiny() -> tuple[dict[str, Any], list[Tensor]]:
    """Return the configuration and tensors of the tiny Llama that the engine's image makes."""
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"))
    wanted = {"config", "shapes"}
    tree.body = [
        node for node in tree.body
        if (isinstance(node, ast.FunctionDef) and node.name in wanted)
        or isinstance(node, ast.Assign)
    ]  # fmt: skip
    names: dict[str, Any] = {}
    exec(compile(tree, str(SCRIPT), "exec"), names)  # noqa: S102  it is our own script
    shapes = names["shapes"]().items()
    return names["config"](), [
        read_tensors(header(name, "F16", shape))[0] for name, shape in shapes
    ]


def header(name: str, dtype: str, shape: Any, size: int | None = None) -> bytes:
    """Return a header with one tensor."""
    count = 1
    for each in shape:
        count *= each
    entry = {"dtype": dtype, "shape": shape, "data_offsets": [0, size or 2 * count]}
    return json.dumps({name: entry}).encode()


def test_the_tiny_model_is_what_it_says() -> None:
    """Counted from its tensors, derived from its configuration and inferred, it is the same."""
    written, tensors = tiny()
    known = Configuration(written)
    counted, derived, inferred = (
        describe(known, tensors), describe(known, ()), describe(None, tensors)
    )  # fmt: skip
    assert counted.weights.blocks == derived.weights.blocks == inferred.weights.blocks
    assert counted.weights.parameters == 1_312_000
    assert counted.weights.size == derived.weights.size == 2_624_000
    assert (inferred.family, inferred.layers, counted.notes) == ("llama", 2, ())
    assert counted.cache
    assert inferred.cache
    assert counted.cache.bytes_per_token == inferred.cache.bytes_per_token == 1024


def test_packed_weights_count_as_what_they_stand_for() -> None:
    """Eight 4-bit parameters lie in one int32; scales are no parameters."""
    quantized = {"quant_method": "awq", "bits": 4, "group_size": 128}
    known = Configuration({"model_type": "llama", "quantization_config": quantized})
    tensors = [
        Tensor("model.layers.0.mlp.up_proj.qweight", "I32", (128, 16), 8192),
        Tensor("model.layers.0.mlp.up_proj.scales", "F16", (1, 128), 256),
    ]
    model = describe(known, tensors)
    assert model.weights.blocks == {"mlp": 128 * 128}
    assert model.weights.size == 8448


@pytest.mark.parametrize(
    "bad",
    [
        b"[]",
        b"{",
        b"[" * 100_000,
        header("t", "F99", (2,)),
        header("t", "F16", (-1,)),
        header("t", "F16", (2**60,)),
        header("t", "F16", (2,), size=3),
    ],
    ids=lambda b: str(b[:20]),
)
def test_hostile_headers_are_refused(bad: bytes) -> None:
    """A header that is none, or contradicts itself, raises ValueError and nothing else."""
    with pytest.raises(ValueError, match="its"):
        read_tensors(bad)


@pytest.mark.parametrize("text", [b"[]", b"{", b"[" * 100_000])
def test_hostile_configurations_are_refused(text: bytes) -> None:
    """What is no JSON object raises ValueError that names the file."""
    with pytest.raises(ValueError, match=r"config\.json"):
        read_configuration(text)
