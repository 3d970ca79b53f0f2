"""Callers that keep a model busy through the gateway."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import openai
from openai.types.chat import ChatCompletionMessageParam

MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Count to ten."}]
ON = {"ignore_eos": True}
"""Random weights may have nothing to say: go on to the last token."""


def ask(known: openai.OpenAI, model: str, tokens: int = 200) -> int:
    """Return how many tokens an answer has; raises openai.OpenAIError when there is none."""
    answer = known.chat.completions.create(
        model=model, messages=MESSAGES, max_tokens=tokens, extra_body=ON
    )
    assert answer.usage is not None
    return answer.usage.completion_tokens


@contextmanager
def busy(known: openai.OpenAI, model: str, callers: int) -> Iterator[None]:
    """Have so many callers ask without pause inside the block; none may be let down."""
    done = Event()

    def call() -> None:
        while not done.is_set():
            assert ask(known, model) == 200

    with ThreadPoolExecutor(callers) as pool:
        calling = [pool.submit(call) for _ in range(callers)]
        try:
            yield
        finally:
            done.set()
    for one in calling:
        one.result()
