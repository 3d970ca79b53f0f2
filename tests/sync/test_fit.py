"""Laws of the estimate of memory."""

from modelops.registry.architecture import describe
from modelops.registry.configuration import Configuration
from modelops.sync.fit import GIB, Load, fits, needed

LLAMA = describe(
    Configuration(
        {
            "model_type": "llama",
            "hidden_size": 4096,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "intermediate_size": 14336,
            "vocab_size": 128256,
        }
    ),
    (),
)


def counts(load: Load) -> dict[str, int | None]:
    """Return how many GPUs of each product it takes."""
    return {fit.gpu.product: fit.count for fit in fits(LLAMA, load)}


def test_an_8b_model_takes_what_people_know() -> None:
    """Llama 3.1 8B in bfloat16 fits on one L4 at 8k tokens, and not on one T4."""
    found = counts(Load(8192))
    assert found["NVIDIA-L4"] == 1
    assert found["Tesla-T4"] == 2
    assert found["NVIDIA-H100-80GB-HBM3"] == 1


def test_more_tokens_need_more_memory() -> None:
    """A longer context and more requests cost exactly their cache; more GPUs divide it."""
    base = needed(LLAMA, Load(8192), 1)
    assert needed(LLAMA, Load(16384), 1) - base == GIB
    assert needed(LLAMA, Load(8192, batch=2), 1) - base == GIB
    assert needed(LLAMA, Load(8192), 2) < base
    assert counts(Load(131072, batch=8))["Tesla-T4"] is None


def test_what_is_unknown_fits_nowhere() -> None:
    """Without a size nothing is said of GPUs."""
    assert fits(describe(Configuration({"model_type": "strange"}), ()), Load(1)) == ()
