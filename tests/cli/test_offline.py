"""The commands that need no cluster say what will happen, and what to do when it cannot."""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from modelops.cli.app import app

TINY = """
apiVersion: modelops.dev/v1alpha1
kind: TextModel
metadata: {name: tiny}
spec: {model: {uri: "pvc://models/tiny-llama"}}
"""


def run(command: str, text: str, tmp_path: Path, *options: str) -> Result:
    """Run a command on a file with that text."""
    file = tmp_path / "model.yaml"
    file.write_text(text)
    return CliRunner().invoke(app, [command, str(file), *options])


def test_render_prints_what_kubectl_can_apply(tmp_path: Path) -> None:
    """`render` prints every child as a YAML document."""
    result = run("render", TINY, tmp_path, "--accelerator=none", "-n", "prod")
    kinds = [document["kind"] for document in yaml.safe_load_all(result.stdout)]
    assert kinds == ["Service", "Deployment"]
    assert result.exit_code == 0


def test_plan_lists_the_writes(tmp_path: Path) -> None:
    """`plan` names each object that would be applied."""
    result = run("plan", TINY, tmp_path)
    assert result.exit_code == 0
    assert "Service tiny" in result.stdout
    assert "Deployment tiny" in result.stdout


def test_explain_tells_the_decisions(tmp_path: Path) -> None:
    """`explain` tells the source, the endpoint, the engine and the defaults taken."""
    result = run("explain", TINY, tmp_path, "--accelerator=none")
    assert result.exit_code == 0
    for words in ("pvc://models/tiny-llama", "tiny.default.svc", "vllm on CPU", "in place"):
        assert words in result.stdout


@pytest.mark.parametrize("command", ["render", "explain"])
@pytest.mark.parametrize(
    ("text", "says"),
    [
        (TINY.replace("pvc://models/tiny-llama", "ftp://x"), "hf://OWNER/NAME"),
        (TINY.replace("model: {uri", "modle: {uri"), "spec.model"),
        (TINY.replace("spec: {", "spec: {runtime: {name: nope}, "), "vllm"),
        (TINY.replace("spec: {", "spec: {runtime: {args: [--port=1]}, "), "--port"),
        (TINY.replace("kind: TextModel", "kind: Txt"), "TextModel"),
        (TINY.replace("modelops.dev/v1alpha1", "v1"), "modelops.dev/v1alpha1"),
        (TINY.replace("{name: tiny}", "{}"), "metadata.name"),
        ("a: [", "not YAML"),
    ],
)
def test_bad_input_is_refused_with_what_to_write(
    command: str, text: str, says: str, tmp_path: Path
) -> None:
    """A file that cannot be served exits non-zero, and the message names what to write."""
    result = run(command, text, tmp_path)
    assert result.exit_code != 0
    assert says in " ".join(result.output.replace("│", " ").split())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A file that is not there is named in the error."""
    result = CliRunner().invoke(app, ["plan", str(tmp_path / "absent.yaml")])
    assert result.exit_code != 0
    assert "absent.yaml" in result.output.replace("\n", "").replace("│", "").replace(" ", "")


def test_crd_writes_one_file_a_kind(tmp_path: Path) -> None:
    """`crd --out` writes a manifest that names the kind."""
    result = CliRunner().invoke(app, ["crd", "--out", str(tmp_path)])
    assert result.exit_code == 0
    crd = yaml.safe_load((tmp_path / "textmodels.yaml").read_text())
    assert crd["spec"]["names"]["kind"] == "TextModel"


def test_runtimes_lists_what_serves_what() -> None:
    """`runtimes` names vllm, what it serves and its devices."""
    result = CliRunner().invoke(app, ["runtimes"])
    for words in ("vllm", "TextModel", "cpu, gpu"):
        assert words in result.output


@pytest.mark.parametrize("metadata", ["x", "[1]", "{}", "{name: }"])
def test_an_object_without_a_name_is_told(metadata: str, tmp_path: Path) -> None:
    """Whatever stands for the metadata, the answer says to give the object a name."""
    text = TINY.replace("{name: tiny}", metadata)
    result = run("plan", text, tmp_path)
    assert result.exit_code == 2
    assert "metadata.name" in result.output


ROUTE = """
apiVersion: modelops.dev/v1alpha1
kind: ModelRoute
metadata: {name: chat}
spec: {targets: [{model: a, weight: 3}, {model: b}], fallback: [small]}
"""
TENANT = """
apiVersion: modelops.dev/v1alpha1
kind: Tenant
metadata: {name: acme}
spec: {models: ["llama*"], limits: {requestsPerMinute: 60}}
"""


def test_explain_tells_what_a_policy_does(tmp_path: Path) -> None:
    """`explain` tells of a route which models answer, and of a tenant what its keys may use."""
    result = run("explain", f"{ROUTE}---{TENANT}", tmp_path, "-n", "prod")
    assert result.exit_code == 0
    for words in (
        "ModelRoute prod/chat", "to `chat`", "serving 75% a, 25% b; falls back to small",
        "a, b, small in namespace prod", "called llama*; at most 60 requests a minute",
    ):  # fmt: skip
        assert words in result.stdout


def test_a_policy_becomes_no_objects(tmp_path: Path) -> None:
    """`render` and `plan` say that nothing is applied for it, beside the models of the file."""
    rendered = run("render", f"{TINY}---{ROUTE}", tmp_path, "--accelerator=none")
    assert [d["kind"] for d in yaml.safe_load_all(rendered.stdout)] == ["Service", "Deployment"]
    assert "ModelRoute default/chat: nothing is applied for it" in rendered.stderr
    alone = run("render", TENANT, tmp_path)
    assert (alone.exit_code, alone.stdout) == (0, "")
    planned = run("plan", f"{TINY}---{ROUTE}", tmp_path)
    assert planned.exit_code == 0
    assert "nothing is applied for it" in planned.stdout


@pytest.mark.parametrize("command", ["render", "plan", "explain"])
def test_a_policy_that_is_wrong_is_refused(command: str, tmp_path: Path) -> None:
    """What the API server would refuse is told in words, with the field."""
    result = run(command, ROUTE.replace("fallback", "falback"), tmp_path)
    assert result.exit_code == 1
    assert "spec.falback" in result.stderr


BUILD = """
apiVersion: modelops.dev/v1alpha1
kind: ModelBuild
metadata: {name: small}
spec: {source: {uri: "hf://owner/name"}, method: GPTQ, gate: {maxDrop: "0.1"}}
"""


def test_a_build_is_rendered_planned_and_explained(tmp_path: Path) -> None:
    """The Job and its claim are printed, listed and told in words."""
    rendered = run("render", BUILD, tmp_path)
    kinds = [d["kind"] for d in yaml.safe_load_all(rendered.stdout)]
    assert kinds == ["PersistentVolumeClaim", "Job"]
    planned = run("plan", BUILD, tmp_path)
    assert planned.exit_code == 0
    assert "Job mb-" in planned.stdout
    told = run("explain", BUILD, tmp_path)
    for words in ("W4A16 by GPTQ of hf://owner/name", "kl may lose at most 0.1", "on CPU"):
        assert words in told.stdout


@pytest.mark.parametrize("command", ["render", "explain", "plan"])
def test_a_build_that_is_refused_says_what_to_write(command: str, tmp_path: Path) -> None:
    """A method that nobody knows ends the command with those that there are."""
    result = run(command, BUILD.replace("GPTQ", "MAGIC"), tmp_path)
    assert result.exit_code == 1
    assert "AWQ" in result.output


def test_a_quantized_model_says_that_it_is_built_first(tmp_path: Path) -> None:
    """Of a model with quantization the ModelBuild is rendered, and no Deployment yet."""
    text = TINY.replace("spec: {", "spec: {quantization: {method: RTN}, ")
    rendered = run("render", text, tmp_path)
    assert [d["kind"] for d in yaml.safe_load_all(rendered.stdout)] == ["ModelBuild", "Service"]
    assert "by RTN" in run("explain", text, tmp_path).stdout


def test_builders_lists_the_methods() -> None:
    """`builders` names each method, who knows it and how it stores weights."""
    result = CliRunner().invoke(app, ["builders"])
    for words in ("GPTQ", "llm-compressor", "W4A16"):
        assert words in result.output
