"""GPTQ that outlives a kill: what it made of a layer is on disk, and the next run takes it up."""

import os
from pathlib import Path
from typing import Any

import torch
from compressed_tensors.utils import update_offload_parameter
from llmcompressor.modifiers.gptq import base
from pydantic import PrivateAttr
from safetensors.torch import load_file, save_file

from modelops.durable import PARTIAL, sync_folder

PARAMETERS = ("weight", "weight_scale", "weight_zero_point", "weight_global_scale")


class GPTQModifier(base.GPTQModifier):
    """GPTQ as llm-compressor does it, by whose name `recipe.yaml` tells of it.

    A layer that an earlier run finished is neither measured nor solved again; samples only go
    through it, so that the next layer sees what it would have seen.
    """

    _folder: Path | None = PrivateAttr(default=None)

    def keep_in(self, folder: Path) -> "GPTQModifier":
        """Keep what is made of each layer in a folder that the next run will find."""
        self._folder = folder
        return self

    def calibrate_module(self, module: torch.nn.Module, *seen: Any) -> None:
        """Measure what a layer is given, unless it is finished."""
        if not self._file(module).exists():
            super().calibrate_module(module, *seen)

    def on_sequential_epoch_end(
        self, state: Any, event: Any, modules: list[torch.nn.Module], **others: Any
    ) -> None:
        """Solve the layers that have been measured and keep them; take up those that are kept."""
        super().on_sequential_epoch_end(state, event, modules, **others)
        for module in (each for each in modules if each in self._module_names):
            file = self._file(module)
            if file.exists():
                _take_up(module, file)
            else:
                _keep(module, file)

    def _file(self, module: torch.nn.Module) -> Path:
        assert self._folder, "it was not told where to keep layers"
        return self._folder / f"{self._module_names[module]}.safetensors"


def _keep(module: torch.nn.Module, file: Path) -> None:
    """Write a layer down: all of it is there, or nothing."""
    found = {name: getattr(module, name, None) for name in PARAMETERS}
    tensors = {name: t.detach().cpu().contiguous() for name, t in found.items() if t is not None}
    fresh = file.with_name(file.name + PARTIAL)
    save_file(tensors, fresh)
    with fresh.open("rb") as written:
        os.fsync(written.fileno())
    fresh.replace(file)
    sync_folder(file.parent)


def _take_up(module: torch.nn.Module, file: Path) -> None:
    for name, tensor in load_file(file).items():
        update_offload_parameter(module, name, tensor)
