"""Measures what a quantized language model lost: its next-token distributions beside the base's."""

import gc
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from quantize import load
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from modelops.builders.recipe import as_recipe
from modelops.building.text import PROMPTS, WINDOW, held_out_text, windows

Say = Callable[[Mapping[str, Any]], None]

ANSWER = 32
"""Tokens of the base's answer to a prompt."""
_DEVICES = "auto" if torch.cuda.is_available() else None
"""Spread over the GPUs there are, and over main memory what they do not hold."""
EDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
PLACES = 8
LABELS = ("<1e-5", "<1e-4", "<0.001", "<0.01", "<0.1", "<1", "1 or more")


@dataclass(slots=True)
class Measured:
    """What is gathered window by window."""

    before: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    divergence: list[NDArray[np.float32]] = field(default_factory=list)


def measure(order: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Compare the artifact with its base; only one of them is in memory at a time."""
    tokenizer = AutoTokenizer.from_pretrained(order["source"], local_files_only=True)
    wanted = as_recipe(order["recipe"]).gate.samples
    texts = windows((tokenizer(text)["input_ids"] for text in held_out_text()), WINDOW, wanted)
    base = load(order["source"], device_map=_DEVICES)
    scratch = Path(order["scratch"])
    for index, window in enumerate(texts):
        np.save(scratch / f"{index}.npy", _distribution(base, window))
        say({"stage": "measure", "percent": 45 * (index + 1) // len(texts)})
    answers = [_answer(base, prompt) for prompt in _prompts(tokenizer)]
    del base
    gc.collect()
    artifact = load(order["made"], device_map=_DEVICES)
    measured = Measured()
    for index, window in enumerate(texts):
        _compare(
            measured, np.load(scratch / f"{index}.npy"), _distribution(artifact, window), window
        )
        say({"stage": "measure", "percent": 50 + 45 * (index + 1) // len(texts)})
    agreement = [_agreement(artifact, *answer) for answer in answers]
    return {"quality": _summary(measured, agreement, len(texts))}


@torch.inference_mode()
def _distribution(model: PreTrainedModel, window: list[int]) -> NDArray[np.float32]:
    """The logarithms of the next-token probabilities after each token but the last."""
    logits = model(torch.tensor([window], device=model.device)).logits[0, :-1]
    return torch.log_softmax(logits.float(), dim=-1).cpu().numpy()


def _compare(
    measured: Measured, base: NDArray[np.float32], other: NDArray[np.float32], window: list[int]
) -> None:
    rows, then = np.arange(len(window) - 1), np.asarray(window[1:])
    measured.before.append(float(-base[rows, then].mean()))
    measured.after.append(float(-other[rows, then].mean()))
    measured.divergence.append(np.maximum((np.exp(base) * (base - other)).sum(axis=1), 0))


def _prompts(tokenizer: PreTrainedTokenizerBase) -> Iterator[list[int]]:
    for prompt in PROMPTS:
        if tokenizer.chat_template:
            said = [{"role": "user", "content": prompt}]
            text = tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
            yield tokenizer(text, add_special_tokens=False)["input_ids"]
        else:
            yield tokenizer(prompt)["input_ids"]


@torch.inference_mode()
def _answer(model: PreTrainedModel, prompt: list[int]) -> tuple[list[int], int]:
    """The prompt with the base's likeliest answer, and where the answer begins."""
    ids = torch.tensor([prompt], device=model.device)
    made = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=ANSWER,
        min_new_tokens=ANSWER,
        do_sample=False,
    )
    return made[0].tolist(), len(prompt)


def _agreement(model: PreTrainedModel, tokens: list[int], begin: int) -> float:
    """The share of the base's answer that the artifact would have chosen at the same places."""
    choice = _distribution(model, tokens)[begin - 1 :].argmax(axis=1)
    return float((choice == np.asarray(tokens[begin:])).mean())


def _summary(measured: Measured, agreement: list[float], count: int) -> dict[str, Any]:
    divergence = np.concatenate(measured.divergence)
    prompts = zip(PROMPTS, map(_number, agreement), strict=True)
    counts = np.bincount(np.digitize(divergence, EDGES), minlength=len(EDGES) + 1)
    return {
        "kl": _number(float(divergence.mean())),
        "klWorst": _number(float(divergence.max())),
        "perplexityBefore": _number(math.exp(float(np.mean(measured.before)))),
        "perplexityAfter": _number(math.exp(float(np.mean(measured.after)))),
        "agreement": _number(float(np.mean(agreement))),
        "windows": count,
        "tokens": len(divergence),
        "histogram": {"labels": LABELS, "counts": counts.tolist()},
        "positions": _positions(np.stack(measured.divergence).mean(axis=0)),
        "prompts": [list(pair) for pair in prompts],
        "losses": [
            [_number(a), _number(b)] for a, b in zip(measured.before, measured.after, strict=True)
        ],
    }


def _positions(divergence: NDArray[np.float32]) -> list[list[float | None]]:
    """How many tokens went before, and the mean from the place before to there."""
    ends = np.linspace(0, len(divergence), PLACES + 1).round().astype(int)
    parts = np.split(divergence, ends[1:-1])
    pairs = zip(ends[1:].tolist(), parts, strict=True)
    return [[end, _number(float(part.mean()))] for end, part in pairs if len(part)]


def _number(value: float) -> float | None:
    """Six digits of a number; None where it is none."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
