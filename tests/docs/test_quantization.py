"""The laws of the page's tables of what quantization loses."""

import pytest

from e2e.bench.quantization.__main__ import PAGE
from e2e.bench.quantization.table import HEAD, filled, ratios, row

SAID = {
    "bytesBefore": 100,
    "bytesAfter": 37,
    "quality": {"kl": 0.01, "perplexityBefore": 8.0, "perplexityAfter": 8.25, "agreement": 0.5},
    "took": {"cpuSeconds": 12.4},
}
FIGURES = {
    "tiny": {"builds": {"GPTQ:W4A16": SAID}, "paces": {"BF16": [10, 20], "GPTQ:W4A16": [5, 20]}}
}


def test_ratios_are_those_of_one_round() -> None:
    """Each pace is held beside the base's of the same round, however fast the machine was then."""
    paces = {"BF16": [10.0, 100.0, 1.0], "a": [20.0, 150.0, 1.0]}
    assert ratios(paces) == {"a": 1.5}


def test_filling_again_changes_nothing() -> None:
    """The marks stay, and what stands outside of them."""
    page = PAGE.read_text(encoding="utf-8")
    once = filled(page, FIGURES)
    assert HEAD in once
    assert "| GPTQ | W4A16 | 0.37 | 0.01000 | 8.25 | 50.0% | 12 | 0.75 |" in once
    assert filled(once, FIGURES) == once
    assert once.split("<!--")[0] == page.split("<!--")[0]


@pytest.mark.parametrize("missing", ["kl", "perplexityAfter", "agreement"])
def test_what_is_no_number_is_shown_as_a_dash(missing: str) -> None:
    """A model that computes NaN has a row, too; so has a scheme that the engine does not serve."""
    quality = {**SAID["quality"], missing: None}
    cells = row("GPTQ:W4A16", SAID | {"quality": quality}, None).split(" | ")
    assert "-" in cells
    assert cells[-1] == "- |"
