"""One picture in the demo: a tiny DiffusionModel, a prompt, a URL."""

import os

import httpx

from e2e import depot
from e2e.chat import bearer
from e2e.cluster.shell import step
from e2e.keys import until_taken
from e2e.pictures.weights import job_name, manifests
from e2e.platform import ROOT, Platform

EXAMPLE = ROOT / "manifests" / "examples" / "image-tiny.yaml"
MODEL = "tiny-picture"
PROMPT = "a red apple on a table"


def picture(stage: Platform, url: str, key: str, namespace: str) -> str:
    """Return what there is to say of a picture that was made at the gateway's URL."""
    if os.environ.get("MODELOPS_CONTEXT"):
        return "(No picture: jobs need a Redis and an S3 store, which the demo makes locally only.)"
    with step("make a tiny pipeline of pictures and store it on a claim"):
        _prepare(stage, namespace)
    with step(f"kubectl apply -f {EXAMPLE.relative_to(ROOT)}, and wait until it is Ready"):
        stage.kube.run("apply", "-n", namespace, "-f", str(EXAMPLE))
        stage.kube.wait(f"diffusionmodel/{MODEL}", "condition=Ready", namespace, 600)
    until_taken(url, key, MODEL)
    body = {"model": MODEL, "prompt": PROMPT}
    answer = httpx.post(
        f"{url}/v1/images/generations", json=body, headers=bearer(key), timeout=120
    ).raise_for_status()
    made = answer.json().get("data") or [{}]
    told = made[0].get("url") or f"not made yet: GET /v1/jobs/{answer.json()['id']}"
    return f"\nyou:  {PROMPT}\n{MODEL}: {told}\n"


def _prepare(stage: Platform, namespace: str) -> None:
    image = stage.images["ray-diffusers-cpu"]
    stage.kube.apply(depot.secret(), namespace=namespace)
    stage.kube.apply(manifests(image), namespace=namespace)
    stage.kube.wait(f"job/{job_name(image)}", "condition=Complete", namespace, 600)
