"""The laws of the report: whatever was measured makes a page, and the page comes back whole."""

import random
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.building.report import page
from modelops.building.show import Unreadable, packed, unpacked
from modelops.cluster import LONGEST_TAIL

MOST_WINDOWS = 10_000
VOID = {"meta", "rect", "line", "circle", "br"}
NUMBERS = st.one_of(st.none(), st.floats(0, 1e6))


class Balance(HTMLParser):
    """Follows which elements are open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, _: object) -> None:
        """Note an element that begins."""
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, _: object) -> None:
        """Pass over an element that is empty."""

    def handle_endtag(self, tag: str) -> None:
        """Note an element that ends: the last one that began."""
        assert self.open.pop() == tag


def artifact(quality: dict[str, Any], **other: Any) -> dict[str, Any]:
    """Return what is told of an artifact."""
    source = {"uri": "hf://a/b", "digest": "c" * 40}
    return {
        "recipe": {
            "method": "GPTQ",
            "options": {"scheme": "W4A16", "calibration": {"samples": 8}, "ignore": ["lm_head"]},
            "source": source,
        },
        "quality": quality,
        "gate": {"passed": False, "sentence": "too much"},
        "lineage": {"source": source, "builderImage": "x", "tools": {}, "device": "cpu"},
        "digest": "d" * 64,
        "created": "now",
        "sourceBytes": 24_000_000,
        "artifactBytes": 8_000_000,
        "seconds": 1.0,
        "gpuSeconds": 0.0,
        **other,
    }


def quality(**measured: Any) -> dict[str, Any]:
    """Return what a gate measures."""
    return {
        "kl": 0.01,
        "klWorst": 0.5,
        "perplexityBefore": 10.0,
        "perplexityAfter": 9.0,
        "agreement": 0.75,
        "windows": 1,
        "tokens": 127,
        **measured,
    }


@given(
    NUMBERS,
    NUMBERS,
    st.lists(st.tuples(NUMBERS, NUMBERS)),
    st.lists(st.tuples(st.integers(1, 127), NUMBERS), max_size=8),
    st.lists(st.tuples(st.text(), st.one_of(st.none(), st.floats(0, 1))), max_size=4),
)
def test_whatever_was_measured_makes_a_page(
    one: float | None, other: float | None, losses: Any, positions: Any, prompts: Any
) -> None:
    """Figures that are no numbers, texts of any letters, nothing: the page is well formed."""
    told = quality(
        kl=one,
        klWorst=other,
        perplexityBefore=one or 1.0,
        perplexityAfter=other,
        agreement=one,
        losses=losses,
        positions=positions,
        prompts=prompts,
    )
    balance = Balance()
    balance.feed(page(artifact(told)))
    balance.close()
    assert balance.open == []


def test_a_measure_of_another_kind_has_a_page() -> None:
    """What is no language model has figures of its own; those that are unknown are told by name."""
    assert "cosine" in page(artifact({"cosine": 0.99}))


def test_the_prompts_that_differ_most_come_first() -> None:
    """A reader sees what to try, without scrolling."""
    text = page(artifact(quality(prompts=[["easy", 1.0], ["hard", 0.1]])))
    assert text.index(">hard<") < text.index(">easy<")


def test_colours_follow_the_reader() -> None:
    """Every colour is one of the page's variables, which the reader's scheme decides."""
    style, _, body = page(artifact(quality(losses=[[1, 2]]))).partition("</style>")
    assert "prefers-color-scheme:dark" in style
    assert not re.search(r"#[0-9a-f]{3,6}\b|fill=|stroke=", body)


def test_the_longest_page_comes_back_whole() -> None:
    """As a log it is below what is read of one, and what comes back is the same byte for byte."""
    dice = random.Random(0)  # noqa: S311  no secret
    losses = [[dice.uniform(0, 9), dice.uniform(0, 9)] for _ in range(MOST_WINDOWS)]
    prompts = [[dice.randbytes(200).hex(), dice.random()] for _ in range(64)]
    whole = page(artifact(quality(losses=losses, prompts=prompts))).encode()
    line = packed(whole)
    assert len(line) < LONGEST_TAIL
    assert unpacked(line) == whole


@pytest.mark.parametrize("cut", [0, 1, 100, -1, -5])
def test_half_a_page_is_refused(cut: int) -> None:
    """A log that was cut off, or that holds something else, is never shown as a report."""
    line = packed(b"<p>x</p>" * 50)
    with pytest.raises(Unreadable):
        unpacked(line[:cut])
    with pytest.raises(Unreadable, match="not whole"):
        unpacked(packed(b"other").replace(packed(b"other")[12:76], line[12:76]))
