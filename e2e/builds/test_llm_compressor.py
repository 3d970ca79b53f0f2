"""The builder's image makes an artifact of the tiny model, and the engine's image serves it."""

from e2e.builds.smoke import smoke


def test_a_real_artifact_is_made_and_served() -> None:
    """GPTQ by llm-compressor in a restricted container, once; vLLM answers a chat from it."""
    figures = smoke("llm-compressor", ("llm-compressor", "vllm-cpu"), "--methods", "GPTQ")["GPTQ"]
    assert figures["bytesAfter"] > 0
