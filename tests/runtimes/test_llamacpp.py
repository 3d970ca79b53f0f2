"""How llama.cpp is run, what its last words mean, and which file it is given."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from modelops.api.kinds.textmodel import TextModelSpec
from modelops.runtimes.engines.llamacpp import HINTS, RUNTIME, command
from modelops.runtimes.runtime import Workload

BASE = (
    "python3 /opt/llama/serve.py /weights/model --alias=tiny --host=0.0.0.0 --port=8000 --metrics "
    "--no-ui --offline --parallel=4 "
)
CASES: dict[str, tuple[dict[str, Any], str]] = {
    "the model's own context": ({}, "--ctx-size=0 --kv-unified"),
    "a context for each": ({"text": {"contextLength": 512}}, "--ctx-size=2048 --no-kv-unified"),
    "cores": ({"resources": {"cpu": "3"}}, "--ctx-size=0 --kv-unified --threads=3"),
    "shares of a core": ({"resources": {"cpu": "500m"}}, "--ctx-size=0 --kv-unified"),
}
WORDS = {
    "the weights hold no GGUF file; give the source exactly one model in GGUF": "WeightsUnreadable",
    "llama_model_load: error loading model: unknown model architecture: 'foo'": "ModelUnsupported",
    "error: invalid argument: --ctx-sise": "EngineArguments",
    "gguf_init_from_file_impl: invalid magic characters: 'abcd', expected 'GGUF'": (
        "WeightsUnreadable"
    ),
}
SERVE = Path(__file__).parents[2] / "runtimes" / "llama-cpp" / "serve.py"


def serve() -> Any:
    """Return the image's own module."""
    spec = importlib.util.spec_from_file_location("serve", SERVE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("fields", "words"), CASES.values(), ids=CASES)
def test_the_spec_decides_the_command(fields: dict[str, Any], words: str) -> None:
    """Each field of the spec has its flags, and each of them is reserved."""
    spec = TextModelSpec.model_validate({"model": {"uri": "pvc://models/tiny"}, **fields})
    made = command(Workload(spec, "tiny", "/weights/model", "cpu", 0))
    assert " ".join(made.args) == BASE + words


@pytest.mark.parametrize(("line", "reason"), WORDS.items(), ids=WORDS)
def test_last_words_are_understood(line: str, reason: str) -> None:
    """The first hint that matches a line has the reason for it."""
    found = next(hint for hint in HINTS if re.search(hint.pattern, line))
    assert found.reason == reason


def test_it_reads_gguf_alone() -> None:
    """No model of safetensors is given to it by default."""
    assert RUNTIME.formats == {"gguf"}


def test_arguments_are_given_in_two_words() -> None:
    """llama-server knows no equals sign: a flag and its value are parted at the first one."""
    given = ["--ctx-size=0", "--metrics", '--json={"a": "b=c"}', "-t", "a=b"]
    assert serve().words(given) == [
        "--ctx-size", "0", "--metrics", "--json", '{"a": "b=c"}', "-t", "a=b",
    ]  # fmt: skip


def test_the_first_part_is_served() -> None:
    """A model in parts is begun with its first; none or several models are refused."""
    first = serve().first
    assert first(["b-00002-of-00002.gguf", "b-00001-of-00002.gguf"]) == "b-00001-of-00002.gguf"
    assert first(["model.gguf"]) == "model.gguf"
    with pytest.raises(ValueError, match="no GGUF file"):
        first([])
    with pytest.raises(ValueError, match="2 models"):
        first(["a.gguf", "b.gguf"])
