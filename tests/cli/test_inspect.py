"""`modelops inspect` reads headers only, and says what to do next."""

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from e2e.hub.server import Hub
from modelops.cli.app import app

KEYS = {"parameters", "bytes", "kvBytesPerToken", "contextLength", "family", "quantization",
        "runtimes", "fits"}  # fmt: skip
SIZE = 4_000_000


def run(*arguments: str | Path) -> Result:
    """Run the command."""
    return CliRunner().invoke(app, ["inspect", *map(str, arguments)])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model of which only headers are small, as acme/big below a hub's folder."""
    folder = tmp_path / "acme" / "big"
    folder.mkdir(parents=True)
    entry = {"dtype": "F16", "shape": [SIZE // 2], "data_offsets": [0, SIZE]}
    header = json.dumps({"model.embed_tokens.weight": entry}).encode()
    data = len(header).to_bytes(8, "little") + header + bytes(SIZE)
    (folder / "model.safetensors").write_bytes(data)
    config = {"model_type": "strange", "architectures": ["StrangeForCausalLM"]}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_folder_is_described(model: Path) -> None:
    """JSON has every promised key, with null for what nothing tells."""
    found = json.loads(run(model, "--json").stdout)
    assert found.keys() >= KEYS
    assert (found["family"], found["parameters"], found["bytes"]) == ("strange", SIZE // 2, SIZE)
    assert (found["kvBytesPerToken"], found["fits"]) == (None, [])


def test_of_the_hub_only_the_beginning_is_read(tmp_path: Path, model: Path) -> None:
    """No more than the first 64 KiB of weights go over the network."""
    del model
    with Hub(tmp_path) as hub:
        result = run("hf://acme/big", "--endpoint", hub.url)
        assert result.exit_code == 0
        assert "uri: hf://acme/big" in result.stdout
        assert 0 < hub.sent("model.safetensors") <= 64 * 1024


def test_a_hostile_header_is_refused(model: Path) -> None:
    """A header that claims to be huge is named, not read."""
    with (model / "model.safetensors").open("r+b") as file:
        file.write((2**40).to_bytes(8, "little"))
    for arguments in ([model], ["--weights", model / "model.safetensors"]):
        result = run(*arguments)
        assert result.exit_code == 1
        assert "model.safetensors" in str(result.output)


def test_explain_opens_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`explain` stays offline."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(socket, "socket", refuse)
    file = tmp_path / "model.yaml"
    file.write_text("{apiVersion: modelops.dev/v1alpha1, kind: TextModel, metadata: {name: a}, "
                    "spec: {model: {uri: 'hf://a/b'}}}")  # fmt: skip
    assert CliRunner().invoke(app, ["explain", str(file)]).exit_code == 0
