"""The laws of the parts: progress, verdict, text, report, the tool's last words."""

import io
import json
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.builders.recipe import Gate, Metric
from modelops.building.broken import Broken
from modelops.building.gate import judge
from modelops.building.progress import LONGEST_WORDS, Progress
from modelops.building.report import page
from modelops.building.text import calibration_text, held_out_text, read_text, windows
from modelops.building.work import STAGES

QUALITY = {
    "kl": 0.02,
    "perplexityBefore": 10.0,
    "perplexityAfter": 9.0,
    "agreement": 0.75,
    "pixels": 0.03,
    "ssim": 0.9,
    "cosine": 0.999,
}


@pytest.mark.parametrize(
    ("gate", "passed", "told"),
    [
        (Gate("pixels", "0.03"), True, "off by 3.00% of full brightness"),
        (Gate("pixels", "0.029"), False, "but at most 2.9%"),
        (Gate("ssim", "0.1"), True, "falls by 10.00%"),
        (Gate("cosine", "0.0009"), False, "falls by 0.10%"),
        (Gate("kl", "0.02"), True, "0.02 nats; at most 0.02 nats"),
        (Gate("kl", "0.019"), False, "0.02 nats; but at most 0.019 nats"),
        (Gate("perplexity", "0"), True, "-10.00%; at most 0%"),
        (Gate("agreement", "0.25"), True, "25.00% of the answers"),
        (Gate("agreement", "0.2"), False, "but at most 20%"),
    ],
)
def test_the_gate_says_by_how_much(gate: Gate, passed: bool, told: str) -> None:  # noqa: FBT001
    """The verdict is a comparison, and the sentence holds both numbers."""
    verdict = judge(gate, QUALITY)
    assert verdict["passed"] is passed
    assert told in verdict["sentence"]


@pytest.mark.parametrize("metric", get_args(Metric))
def test_what_is_no_number_has_not_passed(metric: str) -> None:
    """An artifact that computes NaN is not let through."""
    broken = {"kl": None, "perplexityBefore": 2.0, "perplexityAfter": None, "agreement": None}
    assert not judge(Gate(metric, "999"), broken)["passed"]  # type: ignore[arg-type]


def test_time_left_is_what_the_share_done_took() -> None:
    """Half of the work in 50 s leaves 50 s; what an earlier run did does not count."""
    now = [0.0]
    stream = io.StringIO()
    progress = Progress(stream, {"make": 50, "measure": 50}, clock=lambda: now[0])
    now[0] = 50
    progress.at("make", 100)
    again = Progress(stream, {"make": 50, "measure": 50}, clock=lambda: now[0])
    again.skip_to("measure")
    now[0] = 60
    again.at("measure", 50)
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event["etaSeconds"] for event in events] == [50, 10]


@given(st.text(min_size=0, max_size=5000))
def test_last_words_fit(text: str) -> None:
    """Whatever a tool says, the last words are JSON that the kubelet keeps whole."""
    stream = io.StringIO()
    Progress(stream, STAGES).end({"event": "failed", "message": text, "hint": "a"})
    assert (
        len(json.dumps(json.loads(stream.getvalue()), ensure_ascii=False).encode()) < LONGEST_WORDS
    )


def test_no_paragraph_is_calibrated_and_measured() -> None:
    """The halves of the built-in text have none in common, and both are long enough."""
    halves = calibration_text(), held_out_text()
    parts = [{p.strip() for text in half for p in text.split("\n\n")} - {""} for half in halves]
    assert not parts[0] & parts[1]
    assert min(sum(map(len, half)) for half in parts) > 100_000


@given(st.lists(st.lists(st.integers(0, 9), max_size=30), max_size=20), st.integers(1, 9))
def test_windows_are_the_text_in_order(texts: list[list[int]], length: int) -> None:
    """Windows are of one length, in order, without gaps or repeats; only the end is left out."""
    found = windows(iter(texts), length, 1000)
    flat = [token for text in texts for token in text]
    assert [token for window in found for token in window] == flat[: len(flat) // length * length]
    assert windows(iter(texts), length, 2) == found[:2]


def test_texts_of_ones_own_are_read(tmp_path: Path) -> None:
    """Paragraphs of a .txt; `text` or `messages` of the lines of a .jsonl."""
    plain, lines = tmp_path / "a.txt", tmp_path / "a.jsonl"
    plain.write_text("one\ntwo\n\nthree\n")
    lines.write_text('{"text": "a"}\n\n{"messages": [{"role": "user", "content": "b"}]}\n')
    assert list(read_text(plain)) == ["one\ntwo\n", "three\n"]
    assert list(read_text(lines)) == ["a", "b"]


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"text": 1}', '{"messages": [1]}', '"a"'])
def test_a_wrong_line_is_told_by_its_number(line: str, tmp_path: Path) -> None:
    """Who wrote the dataset learns which line is wrong."""
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "a"}\n' + line)
    with pytest.raises(Broken, match="line 2"):
        list(read_text(file))


def test_a_report_holds_nothing_hostile() -> None:
    """Names come from strangers: they are shown as text, and nothing is loaded from elsewhere."""
    hostile = "<script>alert(1)</script>"
    text = page(
        {
            "recipe": {
                "method": hostile,
                "options": {"ignore": hostile},
                "source": {"uri": hostile},
            },
            "quality": QUALITY | {"windows": 1, "tokens": 2, "losses": [[1, 1]]},
            "gate": {"passed": True, "sentence": hostile},
            "lineage": {
                "source": {"uri": hostile, "digest": hostile},
                "builderImage": hostile,
                "tools": {hostile: hostile},
                "device": hostile,
            },
            "digest": "a",
            "created": "b",
            "sourceBytes": 0,
            "artifactBytes": 0,
            "seconds": 1,
            "gpuSeconds": 0,
        }
    )
    assert "<script" not in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
