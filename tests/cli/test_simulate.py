"""`modelops simulate` tells what a policy does, and what to write when it cannot."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from modelops.cli.app import app

SHORT = ("--shape=spike", "--minutes=3", "--rate=2", "--warm-up=30", "--beside=none")
MODEL = """
apiVersion: modelops.dev/v1alpha1
kind: TextModel
metadata: {name: tiny}
spec:
  model: {uri: "pvc://models/tiny-llama"}
  scaling: {maxReplicas: 9, targets: {concurrency: 10}}
"""


def run(*options: str) -> Result:
    """Run the command on a short trace, unless the options say otherwise."""
    return CliRunner().invoke(app, ["simulate", *SHORT, *options])


def told(result: Result) -> str:
    """Return all that was told, without frames and line breaks."""
    return " ".join(result.output.replace("│", " ").split())


def test_it_tells_and_writes_everything(tmp_path: Path) -> None:
    """The table, JSON, a picture and a page tell of each who scaled."""
    files = {name: tmp_path / f"out.{name}" for name in ("json", "png", "html")}
    options = [f"--{name}={path}" for name, path in files.items()]
    result = run("--beside=keda,keda-1s,oracle,4", *options)
    assert result.exit_code == 0, result.output
    document = json.loads(files["json"].read_text())
    names = [outcome["name"] for outcome in document["outcomes"]]
    assert names == ["modelops", "keda", "keda-1s", "oracle", "4 replicas"]
    assert all(name in result.output for name in names)
    assert "the objective" in result.output
    assert files["png"].read_bytes().startswith(b"\x89PNG")
    assert "data:image/png" in files["html"].read_text()


def test_the_same_seed_tells_the_same(tmp_path: Path) -> None:
    """Two runs write the same JSON."""
    texts = []
    for name in ("a", "b"):
        assert run(f"--json={tmp_path / name}", "--seed=3").exit_code == 0
        texts.append((tmp_path / name).read_text())
    assert texts[0] == texts[1]


def test_policies_come_from_models_and_by_hand(tmp_path: Path) -> None:
    """A model's file, a `spec.scaling` and one on the command line are policies to compare."""
    file = tmp_path / "model.yaml"
    file.write_text(MODEL)
    part = tmp_path / "scaling.yaml"
    part.write_text("maxReplicas: 9\ntargets: {concurrency: 10}\n")
    given = [str(file), str(part), "{maxReplicas: 9, targets: {concurrency: 10}}"]
    result = run(*(f"--policy={text}" for text in given), f"--json={tmp_path / 'out'}")
    assert result.exit_code == 0, result.output
    outcomes = json.loads((tmp_path / "out").read_text())["outcomes"]
    assert [outcome.pop("name") for outcome in outcomes] == [f"modelops {n}" for n in (1, 2, 3)]
    assert outcomes[0] == outcomes[1] == outcomes[2]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--policy={maxReplicas: -1}"], "maxReplicas"),
        (["--policy={maxReplica: 1}"], "maxReplica"),
        (["--policy={minReplicas: 5, maxReplicas: 2}"], "raise maxReplicas"),
        (["--policy={"], "'{maxReplicas: 8}'"),
        (["--policy=absent.yaml"], "absent.yaml"),
        (["--shape=square"], "on-off"),
        (["--trace=absent.csv", "--shape=spike"], "not both"),
        (["--engine=abacus"], "l4-8b"),
        (["--beside=clairvoyant"], "oracle"),
        (["--minutes=0.1", "--rate=0.001"], "raise"),
        (["--png=/nowhere/at/all.png"], "cannot write"),
    ],
)
def test_bad_input_is_told_with_what_to_write(options: list[str], says: str) -> None:
    """What cannot be simulated is refused with what to write instead."""
    result = run(*options)
    assert result.exit_code not in {0, None}
    assert says in told(result) or says in str(result.exception)


def test_an_engine_may_be_a_file(tmp_path: Path) -> None:
    """A YAML file with speeds is an engine; one that cannot be is refused."""
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    speeds = "cached_token_seconds: 0\nprompt_token_seconds: 0.001\ncache_tokens: 9000\n"
    good.write_text(f"step_seconds: 0.02\n{speeds}")
    bad.write_text(f"step_seconds: 0\n{speeds}")
    assert run(f"--engine={good}").exit_code == 0
    assert "step_seconds" in told(run(f"--engine={bad}"))
