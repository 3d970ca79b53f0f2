"""The builder's image exports tiny models, and onnxruntime runs what it made."""

from e2e.builds.smoke import smoke


def test_real_graphs_are_made_and_run() -> None:
    """An encoder of 8 bits and a detector of 16, in a restricted container, answer a batch."""
    figures = smoke("onnx", ("onnx-builder",), "--builds", "bert:INT8", "yolos:FP16")
    assert figures["bert:INT8"]["quality"]["inputs"] == 8
