"""Story: a DiffusionModel makes pictures of jobs, and loses none when its pod dies."""

import io
import json
import threading
from collections.abc import Iterator

import httpx
import pytest
from PIL import Image

from e2e import depot
from e2e.chat import bearer
from e2e.keys import new_key, until_taken
from e2e.pictures.weights import job_name, manifests
from e2e.platform import GATEWAY, ROOT, SYSTEM_NAMESPACE, Platform, namespace
from e2e.pods import is_ready, source
from e2e.space import Space

EXAMPLE = ROOT / "manifests" / "examples" / "image-tiny.yaml"
SPACE = "e2e-pictures"


@pytest.fixture(scope="module")
def space(stage: Platform) -> Iterator[Space]:
    """A namespace with tiny pipelines on a claim, and the keys of the store."""
    kube = stage.kube
    kube.run("delete", "namespace", SPACE, "--ignore-not-found", "--wait")
    kube.apply(namespace(SPACE))
    kube.apply(depot.secret(), namespace=SPACE)
    image = stage.images["ray-diffusers-cpu"]
    kube.apply(manifests(image), namespace=SPACE)
    kube.wait(f"job/{job_name(image)}", "condition=Complete", SPACE, 300)
    kube.run("apply", "-n", SPACE, "-f", str(EXAMPLE))
    kube.wait("diffusionmodel/tiny-picture", "condition=Ready", SPACE, 400)
    yield Space(stage, SPACE)
    kube.run("delete", "namespace", SPACE, "--wait=false")


@pytest.fixture(scope="module")
def gateway(space: Space) -> Iterator[tuple[str, dict[str, str]]]:
    """The gateway's URL, and headers with a key for the model."""
    key = new_key(space.kube, "pictures", "tiny-picture")
    with space.kube.forward(f"service/{GATEWAY}", 80, SYSTEM_NAMESPACE) as url:
        until_taken(url, key, "tiny-picture")
        yield url, bearer(key)


def asked(gateway: tuple[str, dict[str, str]], **more: object) -> httpx.Response:
    """Ask for a picture, and wait for the answer."""
    url, headers = gateway
    body = {"model": "tiny-picture", "prompt": "a red apple", **more}
    return httpx.post(f"{url}/v1/images/generations", json=body, headers=headers, timeout=120)


def shown(answer: httpx.Response) -> Image.Image:
    """Fetch the picture of an answer by its signed URL."""
    assert answer.status_code == 200, answer.text
    (made,) = answer.json()["data"]
    fetched = httpx.get(made["url"], timeout=30)
    assert fetched.status_code == 200, fetched.text
    return Image.open(io.BytesIO(fetched.content))


def test_a_picture_is_fetched_by_its_signed_url(gateway: tuple[str, dict[str, str]]) -> None:
    """A prompt alone gives a PNG of the default size that says how it was made."""
    image = shown(asked(gateway, seed=7))
    assert (image.format, image.size) == ("PNG", (64, 64))
    made = json.loads(image.text["modelops"])  # type: ignore[attr-defined]
    assert (made["model"], made["seed"], made["steps"]) == ("tiny-picture", 7, 8)


def test_the_same_seed_makes_the_same_picture(gateway: tuple[str, dict[str, str]]) -> None:
    """Two requests with one seed show the same; another seed shows something else."""
    first, again, other = (shown(asked(gateway, seed=s)).tobytes() for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_what_the_model_cannot_do_is_refused(gateway: tuple[str, dict[str, str]]) -> None:
    """A size over the model's limits is the caller's mistake."""
    answer = asked(gateway, size="512x512")
    assert answer.status_code == 400, answer.text
    assert "256" in answer.text


def test_a_job_outlives_its_pod(space: Space, gateway: tuple[str, dict[str, str]]) -> None:
    """Worker and engine are killed while a picture is made: others make it, unasked."""
    answers: list[httpx.Response] = []
    work = threading.Thread(
        target=lambda: answers.append(asked(gateway, size="256x256", steps=50, seed=3))
    )
    work.start()
    (pod,) = space.kube.all("pods", SPACE, "modelops.dev/model=tiny-picture")
    name = pod["metadata"]["name"]
    space.kube.run("delete", "pod", name, "-n", SPACE, "--grace-period=0", "--force")
    work.join()
    (answer,) = answers
    until_made(space, gateway, answer)


def until_made(space: Space, gateway: tuple[str, dict[str, str]], answer: httpx.Response) -> None:
    """Wait until what was answered, with a picture or with a job, is made."""
    assert answer.status_code in {200, 202}, answer.text
    url, headers = gateway
    job = answer.json()["job" if answer.status_code == 200 else "id"]
    space.until(
        lambda: httpx.get(f"{url}/v1/jobs/{job}", headers=headers).json()["status"] == "succeeded",
        180,
        lambda: httpx.get(f"{url}/v1/jobs/{job}", headers=headers).text,
    )


def scale(space: Space, **scaling: object) -> None:
    """Change how the model scales."""
    change = json.dumps({"spec": {"scaling": scaling}})
    space.kube.run("patch", "dm", "tiny-picture", "-n", SPACE, "--type=merge", f"--patch={change}")


def test_a_job_wakes_a_model_at_rest(space: Space, gateway: tuple[str, dict[str, str]]) -> None:
    """Without jobs the model goes to zero; the next job waits for a replica, and is done."""
    scale(space, minReplicas=0, idleAfterSeconds=10)
    space.until(lambda: not _pods(space), 180, lambda: f"still there: {_pods(space)}")
    until_made(space, gateway, asked(gateway, seed=5))
    found = space.kube.get("diffusionmodel", "tiny-picture", SPACE)
    assert found is not None
    assert found["status"]["lastScale"]["replicas"] == 1, found["status"]["lastScale"]
    scale(space, minReplicas=1)


def test_what_is_not_for_everyone_is_blocked(
    space: Space, gateway: tuple[str, dict[str, str]]
) -> None:
    """With a safety checker that finds everything unsafe, no picture is given."""
    source = {"model": {"uri": "pvc://pictures/unsafe/sd15"}}
    space.kube.run(
        "patch", "dm", "tiny-picture", "-n", SPACE, "--type=merge",
        f"--patch={json.dumps({'spec': source})}",
    )  # fmt: skip
    space.until(lambda: _rolled(space), 400, lambda: f"the old version serves: {_pods(space)}")
    space.until(
        lambda: "unsafe" in asked(gateway, seed=9).text, 120, lambda: asked(gateway, seed=9).text
    )


def _rolled(space: Space) -> bool:
    """Tell whether the only pod is Ready and serves the other pipeline."""
    return [(uri, ready) for _, uri, ready in _pods(space)] == [
        ("pvc://pictures/unsafe/sd15", True)
    ]


def _pods(space: Space) -> list[tuple[str, str, bool]]:
    """Return the pods by name, each with the source that it serves and whether it is Ready."""
    found = space.kube.all("pods", SPACE, "modelops.dev/model=tiny-picture")
    return [(pod["metadata"]["name"], source(pod["spec"]), is_ready(pod)) for pod in found]
