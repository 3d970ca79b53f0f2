"""Traces of requests: when they arrive, and how long they are."""

import csv
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

COLUMNS: Final = ("offset_ms", "context_tokens", "generated_tokens")
AZURE: Final = Path(__file__).parent / "traces" / "azure-llm-2023-conv-30min.csv"
"""Conversations with Azure's LLM service in 2023; its licence stands beside it."""

MOST_TOKENS: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Request:
    """One request: ``at`` seconds after the trace begins, tokens of prompt and of answer."""

    at: float
    prompt: int
    answer: int


Trace = tuple[Request, ...]


def read_trace(path: Path) -> Trace:
    """Return the requests of a CSV file with the columns COLUMNS, ordered by time.

    Raises ValueError with the line that is wrong and what to write.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        if not set(COLUMNS) <= set(rows.fieldnames or ()):
            raise ValueError(f"the first line of {path} must name the columns {','.join(COLUMNS)}")
        found = [_request(row, f"{path}:{rows.line_num}") for row in rows]
    if not found:
        raise ValueError(f"{path} holds no request: write a line for each below the first")
    return tuple(sorted(found, key=lambda request: request.at))


def _request(row: dict[str, str], where: str) -> Request:
    try:
        offset, prompt, answer = float(row[COLUMNS[0]]), int(row[COLUMNS[1]]), int(row[COLUMNS[2]])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: write three numbers: {','.join(COLUMNS)}") from error
    if not (0 <= offset < math.inf and 0 <= prompt <= MOST_TOKENS and 0 <= answer <= MOST_TOKENS):
        raise ValueError(f"{where}: numbers must be 0 or more, tokens at most {MOST_TOKENS}")
    return Request(offset / 1000, max(prompt, 1), max(answer, 1))


def scaled(trace: Trace, load: float, seed: int) -> Trace:
    """Return the trace with ``load`` times as many requests, of the same shape.

    Each request is repeated or left out by chance; copies come within a second of it.
    """
    if load == 1:
        return trace
    chance = random.Random(seed)  # noqa: S311  a simulation, no secret
    found: list[Request] = []
    for request in trace:
        copies = int(load) + (chance.random() < load % 1)
        found += [replace(request, at=request.at + chance.random()) for _ in range(copies)]
    return tuple(sorted(found, key=lambda request: request.at))


def backwards(trace: Trace) -> Trace:
    """Return the trace from its end to its beginning."""
    end = trace[-1].at
    return tuple(replace(request, at=end - request.at) for request in reversed(trace))


def shuffled(trace: Trace, seconds: float, seed: int) -> Trace:
    """Return as long a trace of pieces of so many seconds, drawn from it with replacement."""
    chance = random.Random(seed)  # noqa: S311  a simulation, no secret
    count = math.ceil((trace[-1].at + 1e-9) / seconds)
    pieces: list[list[Request]] = [[] for _ in range(count)]
    for request in trace:
        pieces[int(request.at // seconds)].append(request)
    found: list[Request] = []
    for number in range(count):
        drawn = chance.randrange(count)
        found += [replace(r, at=r.at + (number - drawn) * seconds) for r in pieces[drawn]]
    return tuple(found)


def warmed(trace: Trace, seconds: float) -> Trace:
    """Return the trace with its own beginning of so many seconds before it."""
    before = [request for request in trace if request.at < seconds]
    return (*before, *(replace(request, at=request.at + seconds) for request in trace))


def constant(_: float) -> float:
    """Return a load that stays."""
    return 1.0


def diurnal(share: float) -> float:
    """Return a day in the time of the trace: quiet, busy, quiet."""
    return 0.15 + 1.7 * math.sin(math.pi * share) ** 2


def bursts(share: float) -> float:
    """Return a low load with a burst of two minutes in every ten of an hour."""
    return 3.0 if share * 6 % 1 < 0.2 else 0.5


def on_off(share: float) -> float:
    """Return a load that comes and goes entirely."""
    return 2.0 if share * 3 % 1 < 0.5 else 0.0


def spike(share: float) -> float:
    """Return a steady load that quintuples for a fortieth of the time."""
    return 5.0 if 0.5 <= share < 0.525 else 0.9


SHAPES: Final[dict[str, Callable[[float], float]]] = {
    "constant": constant,
    "diurnal": diurnal,
    "bursts": bursts,
    "on-off": on_off,
    "spike": spike,
}
"""Loads over a trace, as factors of its mean, by the share of the time that has passed."""

PROMPTS: Final = (6.8, 0.9)
ANSWERS: Final = (5.0, 0.85)
"""Mean and deviation of the logarithm of tokens, near to those of the Azure conversations."""


def synthetic(shape: str, seconds: float, mean_rate: float, seed: int) -> Trace:
    """Return Poisson arrivals whose rate has that shape; ``mean_rate`` is in requests a second."""
    chance = random.Random(seed)  # noqa: S311  a simulation, no secret
    factor = SHAPES[shape]
    most = mean_rate * max(factor(step / 1000) for step in range(1001))
    found, now = [], 0.0
    while (now := now + chance.expovariate(most)) < seconds:
        if chance.random() * most < mean_rate * factor(now / seconds):
            prompt, answer = (_tokens(chance, *size) for size in (PROMPTS, ANSWERS))
            found.append(Request(now, prompt, answer))
    return tuple(found)


def _tokens(chance: random.Random, mean: float, deviation: float) -> int:
    return max(1, min(4096, int(chance.lognormvariate(mean, deviation))))
