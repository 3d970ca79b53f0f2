"""Measures what a GGUF file lost, by the distributions that llama-perplexity writes of both."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from quantize import ARTIFACT, TOOLS, converted, run

from modelops.builders.recipe import as_recipe
from modelops.building.broken import Broken
from modelops.building.text import WINDOW, held_out_text

Say = Callable[[Mapping[str, Any]], None]

MAGIC = b"_logits_"
_HEADER = len(MAGIC) + 3 * 4
_PREFIX = 4
"""Numbers of 16 bits before a row's own: a scale and a least value, floats of 32 bits."""
EDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
LABELS = ("<1e-5", "<1e-4", "<0.001", "<0.01", "<0.1", "<1", "1 or more")


@dataclass(frozen=True, slots=True)
class Logits:
    """A file of llama-perplexity: of each window's second half the next-token distributions."""

    path: Path
    context: int
    words: int
    windows: int

    def __iter__(self) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int32]]]:
        """Each window's log-probabilities, and the tokens that followed."""
        tokens = np.memmap(self.path, np.int32, "r", _HEADER, (self.windows, self.context))
        width, rows = 2 * ((self.words + 1) // 2) + _PREFIX, self.context - 1 - self.context // 2
        begin = _HEADER + tokens.nbytes
        held = np.memmap(self.path, np.uint16, "r", begin, (self.windows, rows, width))
        for window, row in zip(tokens, held, strict=True):
            yield _distributions(row, self.words), np.array(window[-rows:])


def read(path: Path) -> Logits:
    """Look at a file of llama-perplexity. Raises Broken."""
    with path.open("rb") as file:
        head = file.read(_HEADER)
    if len(head) < _HEADER or not head.startswith(MAGIC):
        raise Broken("ToolFailed", "llama-perplexity wrote no distributions", "look at the log")
    return Logits(path, *map(int, np.frombuffer(head, np.int32, 3, len(MAGIC))))


def measure(order: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Compare the artifact with its base, window by window."""
    scratch = Path(order["scratch"])
    text = scratch / "held-out"
    text.write_text("\n".join(held_out_text()))
    count = as_recipe(order["recipe"]).gate.samples
    before = _computed(converted(order), text, scratch / "before", count)
    say({"stage": "measure", "percent": 45})
    after = _computed(Path(order["made"]) / ARTIFACT, text, scratch / "after", count)
    say({"stage": "measure", "percent": 90})
    return {"quality": summary(before, after)}


def summary(before: Logits, after: Logits) -> dict[str, Any]:
    """What the second model lost against the first, in numbers."""
    divergence, same, losses = [], [], []
    for (base, then), (other, _) in zip(before, after, strict=True):
        rows = np.arange(len(then))
        losses.append((float(-base[rows, then].mean()), float(-other[rows, then].mean())))
        divergence.append(np.maximum((np.exp(base) * (base - other)).sum(axis=1), 0))
        same.append(base.argmax(axis=1) == other.argmax(axis=1))
    each = np.concatenate(divergence)
    counts = np.bincount(np.digitize(each, EDGES), minlength=len(EDGES) + 1)
    return {
        "kl": _number(each.mean()),
        "klWorst": _number(each.max()),
        "perplexityBefore": _number(math.exp(np.mean([a for a, _ in losses]))),
        "perplexityAfter": _number(math.exp(np.mean([b for _, b in losses]))),
        "agreement": _number(np.concatenate(same).mean()),
        "windows": before.windows,
        "tokens": len(each),
        "histogram": {"labels": LABELS, "counts": counts.tolist()},
        "losses": [[_number(a), _number(b)] for a, b in losses],
    }


def _computed(model: Path, text: Path, out: Path, count: int) -> Logits:
    run(
        TOOLS / "llama-perplexity", "--model", model, "--file", text,
        "--ctx-size", str(WINDOW), "--chunks", str(count), "--save-all-logits", out,
    )  # fmt: skip
    return read(out)


def _distributions(rows: NDArray[np.uint16], words: int) -> NDArray[np.float32]:
    prefix = np.ascontiguousarray(rows[:, :_PREFIX]).view(np.float32)
    values = rows[:, _PREFIX : _PREFIX + words].astype(np.float32)
    return values * prefix[:, :1] + prefix[:, 1:2]


def _number(value: float) -> float | None:
    """Six digits of a number; None where it is none."""
    return float(f"{float(value):.6g}") if math.isfinite(value) else None
