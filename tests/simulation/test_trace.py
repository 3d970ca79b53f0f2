"""Laws of traces."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.simulation.trace import (
    AZURE,
    SHAPES,
    backwards,
    read_trace,
    scaled,
    shuffled,
    synthetic,
    warmed,
)


def test_the_azure_trace_is_whole() -> None:
    """The trace that comes along has all of its requests, and says where it is from."""
    trace = read_trace(AZURE)
    assert len(trace) == 10108
    assert trace[-1].at == pytest.approx(1799.899)
    assert "Creative Commons" in (AZURE.parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must name the columns"),
        ("a,b,c\n1,2,3\n", "must name the columns"),
        ("offset_ms,context_tokens,generated_tokens\n", "holds no request"),
        ("offset_ms,context_tokens,generated_tokens\n1,x,3\n", ":2: write three numbers"),
        ("offset_ms,context_tokens,generated_tokens\n1,2\n", ":2: write three numbers"),
        ("offset_ms,context_tokens,generated_tokens\n1,2,3\nnan,2,3\n", ":3: numbers must"),
        ("offset_ms,context_tokens,generated_tokens\n-1,2,3\n", ":2: numbers must"),
        ("offset_ms,context_tokens,generated_tokens\n1,2,99999999999\n", ":2: numbers must"),
    ],
)
def test_what_is_no_trace_is_told_with_its_line(text: str, says: str, tmp_path: Path) -> None:
    """A file that is no trace is refused with the line and with what to write."""
    file = tmp_path / "trace.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match=says):
        read_trace(file)


def test_a_trace_is_ordered_and_asks_for_something(tmp_path: Path) -> None:
    """Requests are ordered by time, and each has a token of prompt and answer at least."""
    file = tmp_path / "trace.csv"
    file.write_text("generated_tokens,offset_ms,context_tokens\n0,2000,7\n5,1000,0\n")
    assert [(r.at, r.prompt, r.answer) for r in read_trace(file)] == [(1.0, 1, 5), (2.0, 7, 1)]


@given(st.sampled_from(sorted(SHAPES)), st.integers(0, 1000))
def test_synthetic_traces_are_functions_of_their_seed(shape: str, seed: int) -> None:
    """The same seed makes the same arrivals, ordered and within the time."""
    trace = synthetic(shape, 300, 2.0, seed)
    assert trace == synthetic(shape, 300, 2.0, seed)
    assert list(trace) == sorted(trace, key=lambda request: request.at)
    assert all(0 <= r.at < 300 and r.prompt >= 1 and r.answer >= 1 for r in trace)


@pytest.mark.parametrize("shape", ["constant", "diurnal", "bursts", "on-off", "spike"])
def test_shapes_keep_their_mean(shape: str) -> None:
    """A shape has as many requests as its mean says."""
    assert len(synthetic(shape, 3000, 5.0, 1)) == pytest.approx(15_000, rel=0.05)


@given(st.floats(0.1, 5), st.integers(0, 100))
def test_scaled_traces_have_so_many_more(load: float, seed: int) -> None:
    """A trace at twice the load has twice as many requests, in order."""
    trace = synthetic("constant", 600, 3.0, 3)
    found = scaled(trace, load, seed)
    chance = math.sqrt(len(trace) * (load % 1) * (1 - load % 1))
    assert len(found) == pytest.approx(load * len(trace), abs=5 * chance + 1)
    assert list(found) == sorted(found, key=lambda request: request.at)


def test_the_warm_up_is_the_beginning_again() -> None:
    """A warm-up puts the beginning of a trace before it, and the trace stays as it is."""
    trace = synthetic("spike", 600, 3.0, 3)
    found = warmed(trace, 60.0)
    before = [request for request in found if request.at < 60.0]
    assert [r.prompt for r in before] == [r.prompt for r in trace if r.at < 60.0]
    assert [r.at - 60.0 for r in found[len(before) :]] == pytest.approx([r.at for r in trace])


@given(st.integers(0, 100))
def test_a_shuffled_trace_is_made_of_its_pieces(seed: int) -> None:
    """Pieces are drawn whole and in order; backwards twice is the trace itself."""
    trace = synthetic("constant", 600, 3.0, 3)
    found = shuffled(trace, 60.0, seed)
    assert list(found) == sorted(found, key=lambda request: request.at)
    sizes = {(request.prompt, request.answer) for request in trace}
    assert {(request.prompt, request.answer) for request in found} <= sizes
    assert found[-1].at < 600
    again = backwards(backwards(trace))
    assert [request.prompt for request in again] == [request.prompt for request in trace]
