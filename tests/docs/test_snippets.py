"""What the pages tell readers to write works."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from docs.pages import Block, blocks
from modelops.api.base import API_VERSION
from modelops.api.kinds import KINDS
from modelops.cli.document import read
from modelops.cli.offline import catalogue_for
from modelops.cli.policy_story import policy_story
from modelops.runtimes.runtime import Runtime
from modelops.sync.catalogue import Catalogue, Platform
from modelops.sync.desired import sync

OBJECTS = tuple(block for block in blocks("yaml") if API_VERSION in block.text)
MODULES = tuple(block for block in blocks("python") if "RUNTIME: Final" in block.text)


@pytest.mark.parametrize("block", OBJECTS, ids=str)
def test_objects_can_be_served(block: Block, tmp_path: Path) -> None:
    """Every modelops object in a page parses, has a plan and becomes objects on a cluster."""
    file = tmp_path / "page.yaml"
    file.write_text(block.text, encoding="utf-8")
    catalogue = catalogue_for("nvidia.com/gpu")
    found = read(file, KINDS, "default")
    for observed in found.models:
        desired = sync(observed, catalogue, datetime(2026, 1, 1, tzinfo=UTC))
        assert desired.writes, desired.sentence
    for policy in found.policies:
        assert list(policy_story(policy))


def test_every_page_object_is_judged() -> None:
    """The pages hold modelops objects, and the one that the README begins with is among them."""
    assert {"README.md", "docs/guides/serve-from-s3.md"} <= {str(block.page) for block in OBJECTS}


def test_the_guide_to_a_runtime_makes_one(tmp_path: Path) -> None:
    """The module that the guide shows is a whole runtime: a model that names it can be served."""
    (block,) = MODULES
    names: dict[str, object] = {}
    exec(compile(block.text, str(block), "exec"), names)  # noqa: S102  it is our own page
    runtime = names["RUNTIME"]
    assert isinstance(runtime, Runtime)
    images = dict.fromkeys((*runtime.images.values(), "modelops"), "registry.example.com/image:1")
    platform = Platform(images=images, accelerator="nvidia.com/gpu")
    file = tmp_path / "model.yaml"
    file.write_text(_model(runtime.name), encoding="utf-8")
    (observed,) = read(file, KINDS, "default").models
    catalogue = Catalogue(runtimes={runtime.name: runtime}, platform=platform)
    desired = sync(observed, catalogue, datetime(2026, 1, 1, tzinfo=UTC))
    assert desired.writes, desired.sentence


def _model(runtime: str) -> str:
    return (
        f"apiVersion: {API_VERSION}\nkind: TextModel\nmetadata: {{name: mine}}\n"
        f"spec: {{model: {{uri: 'hf://a/b'}}, runtime: {{name: {runtime}}}, "
        "text: {contextLength: 4096}}\n"
    )
