"""The demo itself: weights on a claim, one TextModel, an API key, one streamed answer."""

import json
import sys
import time

from e2e.chat import stream
from e2e.cluster.shell import step
from e2e.demo.picture import picture
from e2e.keys import new_key, takes, until_taken
from e2e.kube import Kube
from e2e.platform import GATEWAY, ROOT, SYSTEM_NAMESPACE, Platform, namespace, platform
from e2e.weights import job_name, manifests

NAMESPACE = "modelops-demo"
EXAMPLE = ROOT / "manifests" / "examples" / "text-tiny.yaml"
KEY = ROOT / "build" / "demo-key"
PROMPT = "What is Kubernetes?"


def show() -> None:
    """Serve the tiny model and chat with it through the gateway."""
    stage = platform()
    with step("make a tiny Llama and store it on a claim"):
        prepare(stage)
    with step(f"kubectl apply -f {EXAMPLE.relative_to(ROOT)}, and wait until it is Ready"):
        stage.kube.run("apply", "-n", NAMESPACE, "-f", str(EXAMPLE))
        stage.kube.wait("textmodel/tiny", "condition=Ready", NAMESPACE, 600)
    _say("\n" + stage.kube.run("get", "textmodel", "-n", NAMESPACE))
    with stage.kube.forward(f"service/{GATEWAY}", 80, SYSTEM_NAMESPACE) as url:
        key = _key(stage.kube, url)
        _chat(url, key)
        _say("(It has 2 layers and random weights: it answers, but it knows nothing.)\n")
        with step("spec.scaling: {minReplicas: 0, idleAfterSeconds: 5}, and wait until it is Idle"):
            _rest(stage.kube)
        _say("\n" + stage.kube.run("get", "textmodel,pods", "-n", NAMESPACE))
        _say("Nobody is there. The gateway holds the next request and wakes the model:")
        _chat(url, key)
        _say(picture(stage, url, key, NAMESPACE))
    _say(_next(stage.kube))


def _chat(url: str, key: str) -> None:
    """Ask, print the answer as it comes, and how long its first piece took."""
    started, first = time.monotonic(), 0.0
    _say(f"\nyou:  {PROMPT}\ntiny: ", end="")
    for piece in stream(url, "tiny", PROMPT, key=key):
        first = first or time.monotonic() - started
        _say(piece, end="")
    _say(f"\n      (first token after {first:.1f} s)\n")


def _rest(kube: Kube) -> None:
    """Have the model go to zero as soon as nobody asks it anything, and wait until it has."""
    scaling = {"minReplicas": 0, "idleAfterSeconds": 5}
    change = json.dumps({"spec": {"scaling": scaling}})
    kube.run("patch", "textmodel", "tiny", "-n", NAMESPACE, "--type=merge", f"--patch={change}")
    reason = 'jsonpath={.status.conditions[?(@.type=="Ready")].reason}=Idle'
    kube.wait("textmodel/tiny", reason, NAMESPACE, 180)


def prepare(stage: Platform, name: str = NAMESPACE) -> None:
    """Make a namespace that enforces Pod Security `restricted`, with the tiny model on a claim."""
    stage.kube.apply(namespace(name))
    image = stage.images["vllm-cpu"]
    stage.kube.apply(manifests(image), namespace=name)
    stage.kube.wait(f"job/{job_name(image)}", "condition=Complete", name, 600)


def _key(kube: Kube, url: str) -> str:
    """Return the key of an earlier demo while the gateway takes it, else a new one."""
    if KEY.exists() and takes(url, kept := KEY.read_text(), "tiny"):
        return kept
    with step("modelops key create --tenant demo --models 'tiny*' --expires 1d"):
        key = new_key(kube, "demo", "tiny*")
        until_taken(url, key, "tiny")
    KEY.touch(mode=0o600)
    KEY.write_text(key)
    return key


def _next(kube: Kube) -> str:
    access = f"export KUBECONFIG={kube.kubeconfig} PATH=$PATH:{kube.kubectl.rsplit('/', 1)[0]}"
    lines = [
        "Try next:",
        *([f"  {access}"] if kube.kubeconfig else []),
        f"  kubectl -n {SYSTEM_NAMESPACE} port-forward service/{GATEWAY} 8080:80 &",
        f'  curl localhost:8080/v1/models -H "Authorization: Bearer $(cat {KEY})"',
        f"  kubectl -n {NAMESPACE} get tm,pods",
        f"  kubectl -n {NAMESPACE} describe tm tiny",
        "  kubectl explain tm.spec",
        "  .venv/bin/modelops key list",
        f"  kubectl -n {NAMESPACE} events --for textmodel/tiny",
        "  .venv/bin/modelops explain manifests/examples/text-tiny.yaml",
        "  make demo-down",
    ]
    return "\n".join(lines)


def _say(text: str, end: str = "\n") -> None:
    sys.stdout.write(text + end)
    sys.stdout.flush()
