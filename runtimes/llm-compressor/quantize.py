"""Quantizes a language model by llm-compressor."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import compressed_tensors
import llmcompressor
import torch
import transformers
from compressed_tensors.quantization import QuantizationScheme, preset_name_to_scheme
from kept import GPTQModifier
from llmcompressor import oneshot
from llmcompressor.modifiers import Modifier
from llmcompressor.modifiers.quantization import QuantizationModifier
from llmcompressor.modifiers.transform.awq import AWQModifier
from llmcompressor.modifiers.transform.smoothquant import SmoothQuantModifier
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from modelops.builders.recipe import BUILTIN, Calibration, Options, as_recipe
from modelops.building.broken import Broken
from modelops.building.text import calibration_text, read_text, windows

Say = Callable[[Mapping[str, Any]], None]

SMOOTHING_STRENGTH = 0.8
PASSES = 2
"""Each layer sees each sample once to be measured and once to feed the next one."""


def make(order: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Quantize the source into the order's folder; returns what was used for it."""
    recipe = as_recipe(order["recipe"])
    model = load(order["source"], _dtype(recipe.options))
    samples = _samples(order, recipe.options.calibration) if recipe.options.calibration else None
    modifiers = _modifiers(recipe.method, recipe.options, Path(order["kept"]))
    if samples:
        _tell_progress(model, len(samples) * PASSES * len(modifiers), say)
        _spare_pinning()
    oneshot(
        model=model,
        recipe=modifiers,
        dataset=DataLoader(samples, batch_size=None) if samples else None,
        num_calibration_samples=len(samples) if samples else 1,
    )
    model.save_pretrained(order["making"], save_compressed=True)
    return {"tools": _versions(), "device": _device(), "devices": torch.cuda.device_count()}


def load(
    folder: str, dtype: str | torch.dtype = "auto", device_map: str | None = None
) -> PreTrainedModel:
    """Load a model of safetensors files, into main memory unless it is told where else."""
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, device_map=device_map, local_files_only=True, use_safetensors=True
    )


def _dtype(options: Options) -> str | torch.dtype:
    """The type of what is not quantized: whoever reads 4-bit floats computes in bfloat16."""
    return torch.bfloat16 if "FP4" in options.scheme else "auto"


def _modifiers(method: str, options: Options, kept: Path) -> list[Modifier]:
    given = {"config_groups": {"group_0": _scheme(options)}, "ignore": list(options.ignore)}
    solved = method in {"GPTQ", "SmoothQuant"}
    last = GPTQModifier(**given).keep_in(kept) if solved else QuantizationModifier(**given)
    before = {
        "AWQ": lambda: [AWQModifier()],
        "SmoothQuant": lambda: [SmoothQuantModifier(smoothing_strength=SMOOTHING_STRENGTH)],
    }
    return [*before.get(method, list)(), last]


def _scheme(options: Options) -> QuantizationScheme:
    """The preset of that name, with the group size that was asked for."""
    scheme = preset_name_to_scheme(options.scheme, ["Linear"])
    if options.group_size and scheme.weights.group_size:
        scheme.weights.group_size = options.group_size
    return scheme


def _samples(order: Mapping[str, Any], wanted: Calibration) -> list[dict[str, torch.Tensor]]:
    tokenizer = AutoTokenizer.from_pretrained(order["source"], local_files_only=True)
    file = order["calibration"]
    texts = calibration_text() if wanted.dataset == BUILTIN else read_text(Path(file))
    tokens = (tokenizer(text)["input_ids"] for text in texts)
    found = windows(tokens, wanted.sequence_length, wanted.samples)
    if len(found) < wanted.samples:
        raise Broken(
            "CalibrationInvalid",
            f"the calibration text makes {len(found)} samples of {wanted.sequence_length} tokens, "
            f"and {wanted.samples} are wanted",
            "give more text, or lower calibration.samples or calibration.sequenceLength",
        )
    return [_sample(window) for window in found]


def _sample(window: list[int]) -> dict[str, torch.Tensor]:
    ids = torch.tensor([window])
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def _tell_progress(model: PreTrainedModel, passes: int, say: Say) -> None:
    """Count how often samples go through layers: all of them do equally often."""
    layers = _layers(model)
    total, seen = passes * len(layers), [0]

    def count(*_: object) -> None:
        seen[0] += 1
        percent = min(99, 100 * seen[0] // total)
        if percent > min(99, 100 * (seen[0] - 1) // total):
            say({"stage": "make", "percent": percent})

    for layer in layers:
        layer.register_forward_hook(count)


def _layers(model: PreTrainedModel) -> list[torch.nn.Module]:
    """The decoder's layers, whatever the architecture calls them; none where it hides them."""
    lists = (m for m in model.modules() if isinstance(m, torch.nn.ModuleList))
    count = model.config.num_hidden_layers
    return list(next((each for each in lists if len(each) == count), ()))


def _spare_pinning() -> None:
    """Let activations be cached where no GPU is: pinned memory is for copies to one.

    llm-compressor pins what it caches on CPU, and PyTorch's CUDA build cannot pin without a driver.
    """
    if not torch.cuda.is_available():
        torch.Tensor.pin_memory = lambda tensor, *_, **__: tensor


def _device() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def _versions() -> dict[str, str]:
    modules = (llmcompressor, compressed_tensors, transformers, torch)
    return {module.__name__: str(module.__version__) for module in modules}
