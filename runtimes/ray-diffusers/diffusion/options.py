"""The command line of the engine."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SAFETY: Final = ("Block", "Flag", "Off")
OFFLOAD: Final = ("None", "Component", "Layer")
QUANTIZATION: Final = ("None", "Int8WeightOnly", "Float8WeightOnly")


@dataclass(frozen=True, slots=True)
class Options:
    """How the engine was started; None is left to the model."""

    model: Path
    served_model_name: str = "model"
    revision: str = ""
    host: str = "0.0.0.0"
    port: int = 8000
    device: str = "cpu"
    threads: int | None = None
    scratch: Path = Path("/scratch")
    width: int | None = None
    height: int | None = None
    steps: int | None = None
    guidance: float | None = None
    scheduler: str | None = None
    max_width: int | None = None
    max_height: int | None = None
    max_steps: int | None = None
    max_images: int = 4
    batch: int = 4
    batch_wait_milliseconds: int = 0
    safety: str = "Block"
    loras: Path | None = None
    control_nets: Path | None = None
    ip_adapter: Path | None = None
    quantization: str = "None"
    offload: str = "None"
    compile: bool = False
    tile: bool = False
    drain_seconds: int = 60


def parse(arguments: Sequence[str]) -> Options:
    """Return the options of a command line; ends the process where it cannot be read."""
    parser = argparse.ArgumentParser(
        prog="diffusion", allow_abbrev=False, argument_default=argparse.SUPPRESS
    )
    for name, (kind, says) in _FLAGS.items():
        parser.add_argument(f"--{name}", type=kind, help=says, required=name == "model")
    for name, known in _CHOICES.items():
        parser.add_argument(f"--{name}", choices=known)
    for name, says in _SWITCHES.items():
        parser.add_argument(f"--{name}", action="store_true", help=says)
    return Options(**vars(parser.parse_args(arguments)))


_FLAGS: Final = {
    "model": (Path, "folder of the pipeline, with model_index.json"),
    "served-model-name": (str, "its name, for the pictures' metadata"),
    "revision": (str, "which weights they are, for the same"),
    "host": (str, "address to listen at"),
    "port": (int, "port to listen at"),
    "device": (str, "cpu or cuda"),
    "threads": (int, "threads of PyTorch; by default as many as there are CPUs"),
    "scratch": (Path, "folder below which all files of jobs lie"),
    "width": (int, "pixels of a picture that does not say"),
    "height": (int, "pixels of a picture that does not say"),
    "steps": (int, "steps of a picture that does not say"),
    "guidance": (float, "guidance of a picture that does not say"),
    "scheduler": (str, "scheduler of a picture that does not say"),
    "max-width": (int, "widest picture"),
    "max-height": (int, "highest picture"),
    "max-steps": (int, "most steps of a picture"),
    "max-images": (int, "most pictures of a job"),
    "batch": (int, "most pictures that are made at once"),
    "batch-wait-milliseconds": (int, "how long to wait for more of the same shape"),
    "loras": (Path, "folder with a folder for each LoRA adapter"),
    "control-nets": (Path, "folder with a folder for each ControlNet"),
    "ip-adapter": (Path, "folder of an IP-Adapter"),
    "drain-seconds": (int, "how long open jobs may take at the end"),
}
_CHOICES: Final = {"safety": SAFETY, "offload": OFFLOAD, "quantization": QUANTIZATION}
_SWITCHES: Final = {
    "compile": "compile the denoiser; needs a GPU",
    "tile": "decode large pictures in tiles, which saves memory",
}
