"""The demo itself: weights on a claim, one TextModel, an API key, one streamed answer."""

import sys

from e2e.chat import stream
from e2e.cluster.shell import step
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
        _say(f"\nyou:  {PROMPT}\ntiny: ", end="")
        for piece in stream(url, "tiny", PROMPT, key=key):
            _say(piece, end="")
    _say("\n\n(It has 2 layers and random weights: it answers, but it knows nothing.)\n")
    _say(_next(stage.kube))


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
        f"  kubectl -n {NAMESPACE} scale tm tiny --replicas=0",
        "  .venv/bin/modelops explain manifests/examples/text-tiny.yaml",
        "  make demo-down",
    ]
    return "\n".join(lines)


def _say(text: str, end: str = "\n") -> None:
    sys.stdout.write(text + end)
    sys.stdout.flush()
