"""ONNX as a builder's tool: `python3 tool.py ORDER.json`, run by `modelops-build`."""

from modelops.building.stages import run

if __name__ == "__main__":
    run(make="export", measure="judge")
