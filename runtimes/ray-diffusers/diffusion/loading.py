"""A pipeline from its folder into memory."""

from typing import Any, Final

import torch
from diffusers import DiffusionPipeline, PipelineQuantizationConfig, TorchAoConfig
from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig

from diffusion.family import CHECKER, Configs, Family
from diffusion.options import Options

_SCHEMES: Final = {
    "Int8WeightOnly": Int8WeightOnlyConfig,
    "Float8WeightOnly": Float8WeightOnlyConfig,
}


def load(options: Options, known: Family, configs: Configs) -> Any:
    """Return the pipeline where it is to work.

    Raises ValueError for what the device cannot do, OSError for files that cannot be read.
    """
    _refuse(options, known, configs)
    spread = options.device != "cpu" and torch.cuda.device_count() > 1
    pipe = DiffusionPipeline.from_pretrained(
        options.model,
        dtype=_dtype(options, known, configs),
        local_files_only=True,
        use_safetensors=True,
        **({"device_map": "balanced"} if spread else {}),
        **_unjudged(configs),
        **_quantized(options, known),
    )
    pipe.set_progress_bar_config(disable=True)
    if options.tile:
        pipe.vae.enable_tiling()
    if not spread:
        _place(pipe, options)
    if options.compile:
        getattr(pipe, known.denoiser).compile_repeated_blocks(fullgraph=True)
    return pipe


def _built(known: Family, configs: Configs) -> bool:
    """Tell whether the denoiser's weights were made smaller before they came here."""
    return "quantization_config" in configs.get(f"{known.denoiser}/config.json", {})


def _dtype(options: Options, known: Family, configs: Configs) -> torch.dtype:
    """Return the type to compute in: weights that were made smaller are unpacked to bfloat16."""
    small = options.device != "cpu" or _built(known, configs)
    return torch.bfloat16 if small else torch.float32


def _refuse(options: Options, known: Family, configs: Configs) -> None:
    if options.quantization != "None" and _built(known, configs):
        raise ValueError("the weights are quantized already: remove spec.image.quantization")
    asked = {
        "compile": options.compile,
        "offload": options.offload != "None",
    }
    needless = [name for name, value in asked.items() if value]
    if needless and options.device == "cpu":
        raise ValueError(f"{needless[0]} needs a GPU")


def _unjudged(configs: Configs) -> dict[str, Any]:
    """Return what keeps the pipeline's own checker out: pictures are judged outside of it."""
    has = CHECKER in configs["model_index.json"]
    return {CHECKER: None, "requires_safety_checker": False} if has else {}


def _quantized(options: Options, known: Family) -> dict[str, Any]:
    if options.quantization == "None":
        return {}
    scheme = TorchAoConfig(_SCHEMES[options.quantization]())
    return {
        "quantization_config": PipelineQuantizationConfig(quant_mapping={known.denoiser: scheme})
    }


def _place(pipe: Any, options: Options) -> None:
    if options.offload == "Component":
        pipe.enable_model_cpu_offload()
    elif options.offload == "Layer":
        pipe.enable_sequential_cpu_offload()
    else:
        pipe.to(options.device)
