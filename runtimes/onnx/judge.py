"""Measures what an exported model lost: what it answers beside the base, input by input."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from export import GRAPH, OUTPUTS, load
from inputs import Inputs, inputs
from numpy.typing import NDArray
from transformers import PreTrainedModel

from modelops.builders.recipe import as_recipe

Say = Callable[[Mapping[str, Any]], None]
Vector = NDArray[np.float64]
Answers = list[tuple[str, NDArray[np.float32]]]


def measure(order: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Compare what onnxruntime answers with the artifact to what PyTorch answers with the base."""
    count = as_recipe(order["recipe"]).gate.samples
    base = load(order["source"])
    asked = inputs(order["source"], base.config, count)
    before = [_answered(base, each) for each in asked]
    say({"stage": "measure", "percent": 50})
    del base
    session = onnxruntime.InferenceSession(
        Path(order["made"]) / GRAPH, providers=["CPUExecutionProvider"]
    )
    after = [_run(session, each) for each in asked]
    return {"quality": quality(before, after)}


def quality(before: list[Answers], after: list[Answers]) -> dict[str, Any]:
    """What is told of the answers to the same inputs: cosine, rank and agreement, at best 1."""
    one, other = (np.stack([_vector(each) for each in answers]) for answers in (before, after))
    cosines = np.sum(one * other, axis=1)
    return {
        "cosine": _number(cosines.mean()),
        "cosineWorst": _number(cosines.min()),
        "rank": _number(_rank(one, other)),
        "agreement": _number(_agreement(before, after, one, other)),
        "inputs": len(before),
    }


@torch.inference_mode()
def _answered(model: PreTrainedModel, asked: Inputs) -> Answers:
    made = model(**asked, return_dict=True)
    return [(name, made[name][0].float().numpy()) for name in OUTPUTS if name in made]


def _run(session: onnxruntime.InferenceSession, asked: Inputs) -> Answers:
    taken = {each.name for each in session.get_inputs()}
    made = session.run(None, {n: v.numpy() for n, v in asked.items() if n in taken})
    names = (each.name for each in session.get_outputs())
    return [(name, value[0]) for name, value in zip(names, made, strict=True)]


def _vector(answers: Answers) -> Vector:
    """One direction for an input: of an encoder its mean over tokens, else all that it says."""
    name, first = answers[0]
    flat = first.mean(axis=0) if name == "last_hidden_state" else first.ravel()
    vector = flat.astype(np.float64)
    return vector / np.linalg.norm(vector)


def _rank(one: Vector, other: Vector) -> float:
    """Spearman's correlation of the similarities among all pairs of inputs."""
    pairs = np.triu_indices(len(one), k=1)
    orders = [_ranks((each @ each.T)[pairs]) for each in (one, other)]
    return float(np.corrcoef(*orders)[0, 1])


def _ranks(values: Vector) -> Vector:
    if not np.isfinite(values).all():
        return np.full(len(values), np.nan)
    return values.argsort().argsort().astype(np.float64)


def _agreement(before: list[Answers], after: list[Answers], one: Vector, other: Vector) -> float:
    """The share of likeliest classes that are the same; of encoders, of nearest neighbours."""
    if before[0][0][0] == "last_hidden_state":
        return float((_nearest(one) == _nearest(other)).mean())
    pairs = zip(before, after, strict=True)
    return float(np.mean([(a[0][1].argmax(-1) == b[0][1].argmax(-1)).mean() for a, b in pairs]))


def _nearest(vectors: Vector) -> NDArray[np.int64]:
    alike = vectors @ vectors.T
    np.fill_diagonal(alike, -np.inf)
    return alike.argmax(axis=1)


def _number(value: float) -> float | None:
    """Six digits of a number; None where it is none."""
    return float(f"{value:.6g}") if np.isfinite(value) else None
