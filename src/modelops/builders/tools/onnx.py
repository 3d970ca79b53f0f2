"""ONNX: graphs of vision models and of encoders of text, made smaller by onnxruntime."""

from types import MappingProxyType
from typing import Final

from modelops.builders.builder import Builder, Device, Method, Scheme

_NOWHERE: Final[frozenset[Device]] = frozenset()
"""No engine of the platform serves ONNX: who wants it runs the artifact in onnxruntime."""

_METHODS: Final = (
    Method(
        "ONNX",
        "exports the graph and rounds its weights by onnxruntime's own tools",
        (
            Scheme("INT8", 8, served_on=_NOWHERE),
            Scheme("FP16", 16, served_on=_NOWHERE),
        ),
    ),
)

BUILDER: Final = Builder(
    name="onnx",
    description="ONNX graphs of vision models and text encoders, with weights of 8 or 16 bits.",
    image="onnx-builder",
    kinds=frozenset(),
    format="onnx",
    methods=MappingProxyType({method.name: method for method in _METHODS}),
    architectures=r"(Model|ForImageClassification|ForObjectDetection|ForSequenceClassification)$",
    metrics=("cosine", "rank", "agreement"),
    memory_factor=500,
)
