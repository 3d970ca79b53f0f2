"""How fast engines are, as rooflines: what memory and arithmetic allow."""

from dataclasses import dataclass
from typing import Final

USABLE: Final = 0.9
"""The share of an accelerator's memory that an engine takes."""

ARITHMETIC: Final = 0.5
"""The share of its peak arithmetic that reading prompts gets out of an accelerator."""


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast one replica is and how much it holds.

    A step takes ``step_seconds``, more for each token in the cache and each token of a prompt that
    it reads; it reads at most ``step_tokens``.
    """

    step_seconds: float
    cached_token_seconds: float
    prompt_token_seconds: float
    cache_tokens: int
    most_sequences: int = 256
    step_tokens: int = 2048

    def __post_init__(self) -> None:
        if not 0 < self.step_seconds < 60:
            raise ValueError(
                f"step_seconds is {self.step_seconds}: write more than 0, less than 60"
            )
        if min(self.cached_token_seconds, self.prompt_token_seconds) < 0:
            raise ValueError("the seconds a token must not be less than 0")
        if min(self.cache_tokens, self.most_sequences, self.step_tokens) < 1:
            raise ValueError("cache_tokens, most_sequences and step_tokens must be 1 or more")


@dataclass(frozen=True, slots=True)
class Accelerator:
    """An accelerator, or several as one: bytes, bytes a second, operations a second."""

    memory: float
    bandwidth: float
    arithmetic: float

    def times(self, count: int) -> "Accelerator":
        """Return so many of them as one, as if sharing cost nothing."""
        return Accelerator(self.memory * count, self.bandwidth * count, self.arithmetic * count)


@dataclass(frozen=True, slots=True)
class Weights:
    """A model in 16 bits: its parameters, and the bytes that a token takes in the cache."""

    parameters: float
    token_bytes: float

    def on(self, accelerator: Accelerator, sequences: int = 256) -> Speed:
        """Return how fast it is there, with so many sequences at most."""
        size = 2 * self.parameters
        return Speed(
            step_seconds=size / accelerator.bandwidth,
            cached_token_seconds=self.token_bytes / accelerator.bandwidth,
            prompt_token_seconds=2 * self.parameters / (ARITHMETIC * accelerator.arithmetic),
            cache_tokens=int((USABLE * accelerator.memory - size) / self.token_bytes),
            most_sequences=sequences,
        )


LLAMA_8B: Final = Weights(8.03e9, 2 * 32 * 8 * 128 * 2)
LLAMA_70B: Final = Weights(70.6e9, 2 * 80 * 8 * 128 * 2)
L4: Final = Accelerator(24.15e9, 300e9, 121e12)
A100: Final = Accelerator(85.9e9, 2039e9, 312e12)
H100: Final = Accelerator(85.5e9, 3350e9, 989e12)

L4_8B: Final = LLAMA_8B.on(L4)
SPEEDS: Final = {
    "l4-8b": L4_8B,
    "a100-8b": LLAMA_8B.on(A100),
    "h100-8b": LLAMA_8B.on(H100),
    "h100x4-70b": LLAMA_70B.on(H100.times(4)),
}
"""Llama 3.1 of that size on that accelerator."""
