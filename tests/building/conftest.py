"""A small model, a recipe, and the command that builds by a toy tool."""

import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

TOY = Path(__file__).with_name("toy_tool.py")
RECIPE: dict[str, Any] = {
    "source": {"uri": "hf://o/n", "digest": "aa"},
    "builder": "llm-compressor",
    "builderImage": "registry/llm-compressor@sha256:1",
    "method": "RTN",
    "options": {"groupSize": 32},
    "gate": {"metric": "kl", "maxDrop": "0.05"},
}
CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
    "max_position_embeddings": 256,
}


@dataclass(frozen=True)
class Place:
    """The folders and files of one build, and the processes that were started."""

    root: Path
    running: list["subprocess.Popen[str]"] = field(default_factory=list)

    @property
    def source(self) -> Path:
        """The model's folder."""
        return self.root / "source"

    @property
    def store(self) -> Path:
        """The folder of artifacts."""
        return self.root / "artifacts"

    @property
    def words(self) -> Path:
        """The file of the last words."""
        return self.root / "termination-log"

    @property
    def artifacts(self) -> list[Path]:
        """What is there under a final name."""
        return [p for p in self.store.iterdir() if p.suffix != ".partial" and p.name[0] != "."]

    def start(self, change: dict[str, Any] | None = None, **toy: str) -> "subprocess.Popen[str]":
        """Start the command; ``change`` is of the recipe, ``toy`` of the tool's environment."""
        recipe = self.root / "recipe.json"
        recipe.write_text(json.dumps(RECIPE | (change or {})))
        self.words.touch()
        process = subprocess.Popen(
            [
                sys.executable, "-m", "modelops.building.main", f"--recipe={recipe}",
                f"--source={self.source}", f"--out={self.store}", f"--tool={TOY}",
                f"--last-words={self.words}",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | toy,
        )  # fmt: skip
        self.running.append(process)
        return process

    def build(self, change: dict[str, Any] | None = None, **toy: str) -> dict[str, Any]:
        """Run the command to its end and return the last event with the exit ``code``."""
        process = self.start(change, **toy)
        events = [json.loads(line) for line in process.communicate()[0].splitlines()]
        assert json.loads(self.words.read_text()) == events[-1]
        return events[-1] | {"code": process.returncode, "events": events}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Return a place with a model; what still runs at the end is killed."""
    found = Place(tmp_path)
    found.source.mkdir()
    (found.source / "config.json").write_text(json.dumps(CONFIG))
    (found.source / "tokenizer.json").write_text("{}")
    (found.source / "model.safetensors").write_bytes(weights())
    yield found
    for process in found.running:
        process.kill()
        process.communicate()


@pytest.fixture
def build(place: Place) -> Callable[..., dict[str, Any]]:
    """Return what builds in the place."""
    return place.build


def weights() -> bytes:
    """Return a safetensors file of one tensor."""
    header = json.dumps({"a": {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]}}).encode()
    return struct.pack("<Q", len(header)) + header + b"\0" * 8
