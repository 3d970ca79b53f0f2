"""The local image store: builds what is missing and pushes what a registry lacks."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.shell import ClusterError, run
from e2e.images.machine import Places
from e2e.images.recipe import ROOT, Recipe, key


@dataclass(frozen=True, slots=True)
class Image:
    """One image in the local store."""

    name: str
    key: str
    size: str


@dataclass(frozen=True, slots=True)
class Store:
    """A buildah store of our own, so that nobody else's images or settings matter."""

    places: Places

    def images(self) -> list[Image]:
        """The images in the store, newest first."""
        listed = json.loads(run(*self._command("images", "--json")) or "[]")
        listed.sort(key=lambda image: image["created"], reverse=True)
        # buildah lists the oldest first.
        listed.sort(key=lambda each: str(each["createdatraw"]), reverse=True)
        named = [(name, each["size"]) for each in listed for name in each.get("names") or ()]
        return [_image(name, size) for name, size in named if name.startswith(PREFIX)]

    def has(self, name: str) -> bool:
        """Whether the image `name` is there as its files are now."""
        command = self._command("inspect", "--type", "image", reference(name))
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def build(self, recipe: Recipe, context: Path) -> None:
        """Builds one image on its base, which must be there; its output goes to standard error."""
        base = ["--build-arg", f"BASE={reference(recipe.base)}"] if recipe.base else []
        command = self._command(
            "build", f"--layers={str(recipe.layered).lower()}", "--pull-never", "--format", "oci",
            "--volume", f"{self.places.build}:/run/build:rw",
            "--label", f"org.opencontainers.image.version={key(recipe.name)}",
            *base, "--tag", reference(recipe.name),
            "--file", str(ROOT / recipe.containerfile), str(context),
        )  # fmt: skip
        environment = os.environ | {"BUILDAH_ISOLATION": "chroot"}
        done = subprocess.run(command, env=environment, stdout=sys.stderr, check=False)
        if done.returncode:
            raise ClusterError(f"building {recipe.name} failed: the lines above say why")

    def forget(self, name: str) -> None:
        """Removes all but the newest images of `name`, and what only they were made of."""
        old = [image for image in self.images() if image.name == name][KEPT:]
        for image in old:
            run(*self._command("rmi", f"{PREFIX}{image.name}:{image.key}"))

    def push(self, name: str, registry: str) -> str:
        """Pushes the image unless the registry has it; returns its reference by digest."""
        repository = f"{registry}/modelops/{name}"
        target = f"{repository}:{key(name)}"
        digest = registry_digest(target)
        if digest is None:
            options = ("--tls-verify=false", "--compression-format", "zstd")
            run(*self._command("push", *options, reference(name), f"docker://{target}"))
            digest = registry_digest(target)
        return f"{repository}@{digest}"

    @contextmanager
    def mounted(self, name: str) -> Iterator[Path]:
        """The root file system of the image `name`, for as long as it is used."""
        container = run(*self._command("from", "--pull-never", reference(name))).strip()
        try:
            yield Path(run(*self._command("mount", container)).strip())
        finally:
            run(*self._command("rm", container))

    def _command(self, verb: str, *words: str) -> list[str]:
        cache = self.places.cache
        place = ("--root", str(cache / "storage"), "--runroot", str(cache / "runroot"))
        return ["buildah", *place, "--storage-driver", "overlay", verb, *words]


PREFIX = "localhost/modelops/"
KEPT = 3
"""So many states of an image stay, for those who go to and fro between branches."""


def reference(name: str) -> str:
    """The name and tag of an image in the local store."""
    return f"{PREFIX}{name}:{key(name)}"


def registry_digest(target: str) -> str | None:
    """The digest of `target` in its registry; None where it is not there."""
    command = ("skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}")
    done = subprocess.run(
        [*command, f"docker://{target}"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else None


def _image(name: str, size: str) -> Image:
    short, _, tag = name.removeprefix(PREFIX).partition(":")
    return Image(short, tag, size)
