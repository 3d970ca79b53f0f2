"""containerd's own client: load images, list and drop what it keeps."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from e2e.cluster.image import ScratchImage, archive
from e2e.cluster.places import Places
from e2e.cluster.shell import ClusterError, run, step


def ctr(places: Places, *argv: str | Path) -> str:
    """Run containerd's own client in the namespace Kubernetes uses."""
    return run("ctr", "--address", places.containerd_socket, "--namespace", "k8s.io", *argv)


def load(places: Places, image: ScratchImage) -> None:
    """Put the image into containerd."""
    draft = places.run / "image.tar"
    draft.write_bytes(archive(image))
    try:
        ctr(places, "images", "import", draft)
    finally:
        draft.unlink()


def load_missing(places: Places, wanted: Iterable[ScratchImage]) -> None:
    """Put those into containerd that it does not have."""
    have = images(places)
    for image in wanted:
        if image.name not in have:
            with step(f"loading {image.name}"):
                load(places, image)


def images(places: Places) -> set[str]:
    """The names of the images it has."""
    return set(ctr(places, "images", "ls", "-q").split())


def forget_containers(places: Places) -> None:
    """Drop every container with its writable layer; images stay."""
    tasks = ctr(places, "tasks", "ls", "-q").split()
    if tasks:
        with suppress(ClusterError):  # a shim that just lost its process may be gone already
            ctr(places, "tasks", "rm", "--force", *tasks)
    containers = ctr(places, "containers", "ls", "-q").split()
    if containers:
        ctr(places, "containers", "rm", *containers)
