"""The law of `kubectl modelops explain`: what the object says, it says in full."""

import os
import subprocess
import sys
from pathlib import Path

from e2e.cluster.apiserver import ControlPlane
from integration.api import Api
from integration.conftest import Start, condition, text_model
from integration.process import eventually

PLUGIN = Path(sys.executable).with_name("kubectl-modelops")


def explain(control_plane: ControlPlane, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the plugin as kubectl does."""
    environment = {**os.environ, "KUBECONFIG": str(control_plane.kubeconfig), "COLUMNS": "80"}
    command = [str(PLUGIN), "explain", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_refused_model_is_explained(
    control_plane: ControlPlane, api: Api, namespace: str, start: Start
) -> None:
    """The plugin prints Ready's reason and every word of its sentence."""
    start(NAMESPACES=namespace).ready()
    api.create(text_model(namespace, "bad", runtime={"name": "nope"}))

    def refused() -> dict[str, str]:
        return condition(api.get("TextModel", namespace, "bad"), "Ready")

    ready = eventually(refused, what="a verdict")
    answer = explain(control_plane, "bad", "-n", namespace)
    words = answer.stdout.translate(dict.fromkeys(map(ord, "│├└─"))).split()
    assert answer.returncode == 0, answer.stderr
    assert " ".join(ready["message"].split()) in " ".join(words)
    assert "RuntimeUnknown" in words


def test_without_a_cluster_it_says_what_to_set(tmp_path: Path) -> None:
    """No kubeconfig ends with 1 and one line, not with a traceback."""
    environment = {**os.environ, "KUBECONFIG": str(tmp_path / "nothing"), "HOME": str(tmp_path)}
    answer = subprocess.run(
        [str(PLUGIN), "explain", "any"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert "set KUBECONFIG" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_an_unknown_model_is_told(control_plane: ControlPlane, api: Api, namespace: str) -> None:
    """A name that does not exist ends with 1 and with how to list those that do."""
    del api  # it installs the CRDs
    answer = explain(control_plane, "nobody", "-n", namespace)
    assert answer.returncode == 1
    assert "kubectl get textmodels -A" in answer.stderr
