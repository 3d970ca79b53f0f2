"""Makes the weights of a pipeline's denoiser smaller by torchao; all else stays as it is."""

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
import torchao
from accelerate import init_empty_weights
from diffusers import TorchAoConfig
from diffusion.family import INDEX, family
from diffusion.studio import read_configs
from torchao.core.config import AOBaseConfig
from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig

from modelops.builders.recipe import as_recipe
from modelops.building.broken import Broken
from modelops.building.source import read_model

Say = Callable[[Mapping[str, Any]], None]
Denoiser = diffusers.ModelMixin

_CONFIGS: Mapping[str, Callable[[], AOBaseConfig]] = {
    "Int8WeightOnly": lambda: Int8WeightOnlyConfig(version=2),
    "Float8WeightOnly": Float8WeightOnlyConfig,
}


def make(order: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Quantize the denoiser into the order's folder; returns what was used for it."""
    recipe = as_recipe(order["recipe"])
    source, making = Path(order["source"]), Path(order["making"])
    name, kind = denoiser(source)
    spared = _spared(kind.load_config(source / name, local_files_only=True), kind, recipe.options)
    config = TorchAoConfig(_CONFIGS[recipe.method](), modules_to_not_convert=spared or None)
    model = kind.from_pretrained(
        source,
        subfolder=name,
        dtype=torch.bfloat16,
        quantization_config=config,
        local_files_only=True,
        use_safetensors=True,
    )
    say({"stage": "make", "percent": 50})
    model.save_pretrained(making / name, safe_serialization=True)
    say({"stage": "make", "percent": 80})
    _copy(source, making, name)
    return {"tools": _versions(), "device": _device(), "devices": torch.cuda.device_count()}


def denoiser(source: Path) -> tuple[str, type[Denoiser]]:
    """The part of the pipeline that works in each step, and its class. Raises Broken."""
    configs = read_configs(source)
    name = family(configs).denoiser
    library, kind = configs[INDEX].get(name) or (None, "")
    found = getattr(diffusers, str(kind), None) if library == "diffusers" else None
    if not isinstance(found, type) or not issubclass(found, diffusers.ModelMixin):
        raise Broken(
            "ArchitectureUnsupported",
            f"the pipeline has no {name} that diffusers {diffusers.__version__} knows",
            "choose a newer builder image or another model",
        )
    if "quantization_config" in configs.get(f"{name}/config.json", {}):
        raise Broken(
            "ArchitectureUnsupported",
            f"the pipeline's {name} is quantized already",
            "build from the original weights, or serve the source as it is",
        )
    return name, found


def _spared(config: Mapping[str, Any], kind: type[Denoiser], options: Any) -> list[str]:
    """The linear layers that stay as they are, of those that the options name or match."""
    with init_empty_weights():
        model = kind.from_config(config)
    linear = [n for n, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    return [name for name in linear if any(_names(rule, name) for rule in options.ignore)]


def _names(rule: str, name: str) -> bool:
    if rule.startswith("re:"):
        return re.match(rule.removeprefix("re:"), name) is not None
    return name == rule


def _copy(source: Path, making: Path, name: str) -> None:
    """Keep the weights of all other parts, and the indexes that name their shards."""
    selection = read_model(source, INDEX).selection
    for record in (*selection.weights, *selection.indexes):
        if not record.path.startswith(f"{name}/"):
            target = making / record.path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / record.path, target)


def _device() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def _versions() -> dict[str, str]:
    return {module.__name__: str(module.__version__) for module in (diffusers, torchao, torch)}
