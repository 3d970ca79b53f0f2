"""A recipe and its digest: equal inputs build once."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.builders.recipe import (
    Calibration,
    Gate,
    Options,
    Recipe,
    Source,
    Target,
    as_document,
    as_recipe,
    digest,
    job_name,
    read_recipe,
)
from modelops.builders.refused import Refused

DOCUMENT: dict[str, Any] = {
    "source": {"uri": "hf://o/n", "digest": "aa", "path": ""},
    "builder": "llm-compressor",
    "builderImage": "registry/llm-compressor@sha256:1",
    "method": "GPTQ",
    "options": {"scheme": "W4A16", "groupSize": 128, "calibration": {"samples": 8}},
    "gate": {"metric": "kl", "maxDrop": "0.02", "samples": 4},
}

texts = st.text(st.characters(min_codepoint=65, max_codepoint=1000), min_size=1, max_size=20)


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """Return any recipe."""
    calibration = draw(st.none() | texts.map(Calibration))
    return Recipe(
        source=Source(draw(texts), draw(texts), draw(st.none() | texts), draw(texts)),
        builder=draw(texts),
        builder_image=draw(texts),
        method=draw(texts),
        options=Options(
            scheme=draw(st.none() | texts),
            bits=draw(st.none() | st.integers(1, 16)),
            group_size=draw(st.none() | st.integers(8, 4096)),
            ignore=tuple(draw(st.lists(texts, max_size=3))),
            calibration=calibration,
        ),
        target=Target(draw(st.none() | texts)),
    )


@given(recipes())
def test_a_recipe_survives_its_document(recipe: Recipe) -> None:
    """What is written is read as the same."""
    assert as_recipe(json.loads(json.dumps(as_document(recipe)))) == recipe


def test_a_document_is_read_by_its_outside_names() -> None:
    """Names are those of the API: camelCase."""
    recipe = as_recipe(DOCUMENT)
    assert recipe.options.group_size == 128
    assert recipe.gate == Gate("kl", "0.02", 4)
    assert recipe.builder_image == "registry/llm-compressor@sha256:1"


@pytest.mark.parametrize(
    "change",
    [
        {"method": ""},
        {"surprise": 1},
        {"gate": {"maxDrop": "a lot"}},
        {"gate": {"maxDrop": 0.1}},
        {"options": {"groupSize": 0}},
        {"options": {"calibration": {"samples": 0}}},
        {"source": {"uri": "hf://o/n"}},
    ],
    ids=str,
)
def test_a_wrong_document_is_refused_by_field(change: dict[str, Any]) -> None:
    """Who wrote it is told which field is wrong."""
    with pytest.raises(Refused, match=next(iter(change))) as refused:
        as_recipe(DOCUMENT | change)
    assert refused.value.reason == "RecipeInvalid"


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "\x00"])
def test_what_is_no_document_is_refused(text: str) -> None:
    """Anything that is not a recipe is refused, never a traceback."""
    with pytest.raises(Refused):
        read_recipe(text)


@given(recipes(), texts)
def test_the_digest_is_of_what_decides_the_content(recipe: Recipe, other: str) -> None:
    """Method, options, source, image and target change it; gate, name and place do not."""
    same = [
        replace(recipe, gate=Gate("perplexity", "0.5", 7)),
        replace(recipe, source=replace(recipe.source, uri="hf://other/name", path="elsewhere")),
        replace(recipe, builder_image=f"mirror/x@{recipe.builder_image.rpartition('@')[2]}"),
    ]
    assert {digest(each) for each in same} == {digest(recipe)}
    different = [
        replace(recipe, method=recipe.method + other),
        replace(recipe, source=replace(recipe.source, digest=recipe.source.digest + other)),
        replace(recipe, builder_image=recipe.builder_image + other),
        replace(recipe, target=Target((recipe.target.product or "") + other)),
        replace(recipe, options=replace(recipe.options, ignore=(*recipe.options.ignore, other))),
    ]
    assert digest(recipe) not in {digest(each) for each in different}


def test_a_job_is_named_by_the_digest() -> None:
    """The name is a DNS label and begins as the digest does."""
    address = digest(as_recipe(DOCUMENT))
    assert len(address) == 64
    assert job_name(address) == f"mb-{address[:12]}"
