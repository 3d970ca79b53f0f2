"""`modelops build` builds without a cluster, and `modelops artifacts` knows what may go."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from modelops.building.sweep import Rule
from modelops.cli import artifacts
from modelops.cli.app import app
from podsecurity import violations

MODEL_BUILD = """
apiVersion: modelops.dev/v1alpha1
kind: ModelBuild
metadata: {name: small}
spec: {source: {uri: "pvc://models/tiny"}, method: FP8}
"""
TOOL = Path(__file__).parents[1] / "building" / "toy_tool.py"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a folder with a model that has one tiny weight file."""
    folder = tmp_path / "model"
    folder.mkdir()
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 64}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes((8).to_bytes(8, "little") + b"{}      ")
    return folder


def build(tmp_path: Path, *options: str) -> Any:
    """Run `modelops build` on the ModelBuild."""
    file = tmp_path / "build.yaml"
    file.write_text(MODEL_BUILD)
    return CliRunner().invoke(app, ["build", str(file), *options])


def test_a_file_is_built_on_this_machine(tmp_path: Path, source: Path) -> None:
    """The container's own code makes the artifact of the object's recipe, by the tool given."""
    out = tmp_path / "out"
    result = build(tmp_path, "--local", f"--source={source}", f"--out={out}", f"--tool={TOOL}")
    assert result.exit_code == 0, result.output
    (manifest,) = out.glob("*/artifact.json")
    assert json.loads(manifest.read_text())["recipe"]["method"] == "FP8"


def test_what_is_missing_is_asked_for(tmp_path: Path, source: Path) -> None:
    """Without --local, a tool or a folder for a claim's source the answer says what to add."""
    assert "--local" in build(tmp_path).output
    assert "--tool" in build(tmp_path, "--local", f"--source={source}").output
    assert "--source" in build(tmp_path, "--local", f"--tool={TOOL}").output


BUILDS = [
    {"metadata": {"name": "one"}, "status": {"artifact": f"pvc://store/artifacts/{'a' * 64}"}},
    {"metadata": {"name": "at work"}, "status": {"digest": "b" * 64}},
]
USERS = {
    "TextModel x": json.dumps({"model": {"uri": f"pvc://store/artifacts/{'c' * 64}"}}),
    "Deployment y": json.dumps({"args": [f"--uri=pvc://store/artifacts/{'d' * 64}"]}),
    "Deployment z": json.dumps({"args": [f"--uri=pvc://other/artifacts/{'e' * 64}"]}),
}


def test_whatever_is_named_anywhere_is_kept() -> None:
    """Artifacts of builds, of builds at work, of models and of what runs now are kept."""
    kept = artifacts.Listed(BUILDS, USERS).digests("store")
    assert kept == {letter * 64 for letter in "abcd"}


def test_users_of_an_artifact_are_named() -> None:
    """Who is served from an artifact is told by kind and name."""
    found = artifacts.Listed(BUILDS, USERS)
    assert found.using(f"pvc://store/artifacts/{'d' * 64}") == ["Deployment y"]


def test_the_sweeper_is_restricted() -> None:
    """The pod that sweeps passes Pod Security `restricted`, and carries the rule."""
    job = artifacts.sweeper("default", "store", "modelops:1", Rule({"a" * 64}, 60, dry_run=True))
    assert violations(job["spec"]["template"]) == []
    command = job["spec"]["template"]["spec"]["containers"][0]["command"]
    assert {"--dry-run", f"--keep={'a' * 64}", "--older-than-seconds=60"} <= set(command)


def test_an_age_is_asked_for_as_people_write_it() -> None:
    """What is no duration is refused with how to write one."""
    result = CliRunner().invoke(app, ["artifacts", "gc", "--older-than", "a month"])
    assert result.exit_code == 2
    assert "30d" in result.output
