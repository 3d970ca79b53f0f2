"""Exports a model to ONNX by PyTorch, and makes it smaller by onnxruntime's own tools."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch
import transformers
from inputs import form, inputs
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.float16 import convert_float_to_float16
from transformers import AutoConfig, PreTrainedModel

from modelops.builders.recipe import as_recipe
from modelops.building.broken import Broken

Say = Callable[[Mapping[str, Any]], None]

GRAPH = "model.onnx"
OPSET = 18
OUTPUTS = ("logits", "pred_boxes", "last_hidden_state")
_CASTS = "graph_input_cast"
_QUANTIZED = ["MatMul", "Gemm", "Gather"]
"""Products of layers, and tables of embeddings: nearly all of a transformer's weights."""


class Plain(torch.nn.Module):
    """A model that takes named tensors in one order and returns a tuple of tensors."""

    def __init__(self, model: PreTrainedModel, names: tuple[str, ...]) -> None:
        """Wrap a model whose inputs have these names."""
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *given: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The outputs that the model has, in the order of OUTPUTS."""
        made = self.model(**dict(zip(self.names, given, strict=True)), return_dict=True)
        return tuple(made[name] for name in OUTPUTS if name in made)


def make(order: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Export the source into the order's folder; returns what was used for it."""
    recipe = as_recipe(order["recipe"])
    model = load(order["source"])
    whole = Path(order["scratch"]) / GRAPH
    _export(model, order["source"], whole)
    _strip(whole)
    say({"stage": "make", "percent": 60})
    target = Path(order["making"]) / GRAPH
    _SHRINK[recipe.options.scheme](whole, target)
    say({"stage": "make", "percent": 90})
    for file in target.parent.iterdir():
        file.chmod(0o644)  # onnxruntime keeps its files to itself
    onnx.checker.check_model(str(target), full_check=True)
    return {"tools": _versions(), "device": "cpu", "devices": 0}


def load(folder: str) -> PreTrainedModel:
    """Load a model by the class that its configuration names. Raises Broken."""
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    (name, *_) = config.architectures or [""]
    kind = getattr(transformers, name, None)
    if kind is None:
        raise Broken(
            "ArchitectureUnsupported",
            f"transformers {transformers.__version__} does not know {name}",
            "choose a newer builder image or another model",
        )
    model = kind.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True, use_safetensors=True
    )
    if hasattr(model.config, "use_cache"):
        model.config.use_cache = False
    return model.eval()


def _export(model: PreTrainedModel, folder: str, target: Path) -> None:
    axes = form(model.config).axes
    (example,) = inputs(folder, model.config, 1)
    names = tuple(axes)
    with torch.inference_mode():
        outputs = [name for name in OUTPUTS if name in model(**example, return_dict=True)]
    dynamic = {axis: torch.export.Dim(axis) for each in axes.values() for axis in each.values()}
    shapes = tuple({i: dynamic[axis] for i, axis in axes[name].items()} for name in names)
    torch.onnx.export(
        Plain(model, names).eval(),
        tuple(example[name].repeat(2, *[1] * (example[name].dim() - 1)) for name in names),
        str(target),
        dynamo=True,
        opset_version=OPSET,
        input_names=list(names),
        output_names=outputs,
        dynamic_shapes=(shapes,),
        external_data=True,
        verbose=False,
    )


def _half(whole: Path, target: Path) -> None:
    """Keep weights and what is computed as 16-bit floats; inputs and outputs stay as they are."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(whole))
    half = convert_float_to_float16(graph, keep_io_types=True, disable_shape_infer=True)
    nodes = sorted(half.graph.node, key=lambda node: not node.name.startswith(_CASTS))
    del half.graph.node[:]
    half.graph.node.extend(nodes)  # the casts of inputs come first: a graph is in order
    _save(half, target)


def _eighth(whole: Path, target: Path) -> None:
    """Keep weights as 8-bit integers; activations are measured and rounded as they come."""
    quantize_dynamic(
        whole, target, op_types_to_quantize=_QUANTIZED, weight_type=QuantType.QInt8,
        use_external_data_format=True,
    )  # fmt: skip


def _strip(file: Path) -> None:
    """Take out of a graph where in PyTorch's code each node came from."""
    graph = onnx.load(file, load_external_data=False)
    for node in graph.graph.node:
        del node.metadata_props[:]
    onnx.save(graph, file)


def _save(graph: onnx.ModelProto, target: Path) -> None:
    onnx.save_model(
        graph, target, save_as_external_data=True, all_tensors_to_one_file=True,
        location=f"{target.name}.data",
    )  # fmt: skip


_SHRINK: Mapping[str, Callable[[Path, Path], None]] = {"INT8": _eighth, "FP16": _half}


def _versions() -> dict[str, str]:
    modules = (onnx, onnxruntime, transformers, torch)
    return {module.__name__: str(module.__version__) for module in modules}
