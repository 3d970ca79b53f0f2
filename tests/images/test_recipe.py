"""The laws of an image's key: it stands for the content, all of it and nothing else."""

import shutil
import tomllib
from pathlib import Path

import pytest

from e2e.images.machine import uv_settings
from e2e.images.recipe import RECIPES, ROOT, key, lineage


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of all that the images are made of."""
    for recipe in RECIPES.values():
        for path in recipe.files(ROOT):
            copy = tmp_path / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    return tmp_path


def keys(root: Path) -> dict[str, str]:
    """The keys of all images for the files below `root`."""
    return {name: key(name, root) for name in RECIPES}


def test_equal_files_have_equal_keys(tree: Path) -> None:
    """A key does not depend on where the files lie."""
    assert keys(tree) == keys(ROOT)


@pytest.mark.parametrize("name", RECIPES)
def test_every_input_counts(name: str, tree: Path) -> None:
    """A change of any file of an image changes its key and its descendants', and no other."""
    before = keys(tree)
    for path in RECIPES[name].files(tree):
        content = path.read_bytes()
        path.write_bytes(content + b"\n")
        changed = {each for each, value in keys(tree).items() if value != before[each]}
        path.write_bytes(content)
        touched = {recipe.name for recipe in RECIPES.values() if path in set(recipe.files(tree))}
        descends = {each for each in RECIPES for base in lineage(each) if base.name in touched}
        assert changed == descends


def test_compiled_python_does_not_count(tree: Path) -> None:
    """Running the tests does not make an image new."""
    before = keys(tree)
    compiled = tree / "src/modelops/__pycache__/x.cpython-311.pyc"
    compiled.parent.mkdir(exist_ok=True)
    compiled.write_bytes(b"x")
    assert keys(tree) == before


def test_every_copied_file_is_an_input() -> None:
    """What a Containerfile copies from its context is part of the key."""
    for recipe in RECIPES.values():
        if recipe.name == "debian":
            continue
        inputs = {str(Path(each).relative_to(recipe.context)) for each in recipe.inputs}
        assert copied(ROOT / recipe.containerfile) == inputs


def copied(containerfile: Path) -> set[str]:
    """The files that a Containerfile copies from its context."""
    lines = (line.split() for line in containerfile.read_text().splitlines())
    copies = [words[1:-1] for words in lines if words[:1] == ["COPY"]]
    return {word for words in copies if not words[0].startswith("--from") for word in words}


@pytest.mark.parametrize("index", [None, "https://mirror.example.com/simple"])
def test_builds_use_the_index_of_the_machine(index: str | None) -> None:
    """uv inside a build reads the machine's index, or none, and copies out of its cache."""
    settings = tomllib.loads(uv_settings(index))
    expected = [{"url": index, "default": True}] if index else None
    assert settings.get("index") == expected
    assert settings["link-mode"] == "copy"
