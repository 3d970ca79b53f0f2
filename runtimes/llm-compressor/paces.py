"""Measures how fast vLLM writes with each of some models: `python3 paces.py OUT NAME=FOLDER...`.

All are loaded in one process and take turns on the same prompts, so that what else the machine does
is shared by all of them: the ratios of one round mean something where its seconds do not. OUT gets
the tokens per second of every round, by name, as JSON.
"""

import json
import sys
import time
from pathlib import Path

from vllm import LLM, SamplingParams

ROUNDS = 9
TOKENS = 64
PROMPTS = tuple(
    {"prompt_token_ids": [1 + (7 * row + 3 * place) % 200 for place in range(32)]}
    for row in range(8)
)
CACHE_BYTES = 64 << 20


def load(folder: str) -> LLM:
    """An engine that holds the model and a small cache."""
    return LLM(
        folder,
        enforce_eager=True,
        max_model_len=256,
        kv_cache_memory_bytes=CACHE_BYTES,
        disable_log_stats=True,
    )


def pace(engine: LLM) -> float:
    """Tokens per second of eight answers at once."""
    wanted = SamplingParams(temperature=0, max_tokens=TOKENS, ignore_eos=True)
    begin = time.perf_counter()
    answers = engine.generate(list(PROMPTS), wanted, use_tqdm=False)
    return sum(len(each.outputs[0].token_ids) for each in answers) / (time.perf_counter() - begin)


def main() -> None:
    """The command line."""
    out, *named = sys.argv[1:]
    engines = {name: load(folder) for name, _, folder in (each.partition("=") for each in named)}
    for engine in engines.values():
        pace(engine)
    rounds = [{name: pace(engine) for name, engine in engines.items()} for _ in range(ROUNDS)]
    Path(out).write_text(json.dumps({name: [each[name] for each in rounds] for name in engines}))


if __name__ == "__main__":
    main()
