"""The builder's image makes GGUF files of the tiny model, and llama.cpp's image serves them."""

from e2e.builds.smoke import smoke

RECIPES = ("Q4_K_M", "IMATRIX")


def test_real_gguf_files_are_made_and_served() -> None:
    """With and without an imatrix, in restricted containers, once; llama-server answers a chat."""
    images = ("llama-cpp-builder", "llama-cpp", "vllm-cpu")
    figures = smoke("llama-cpp", images, "--recipes", *RECIPES)
    assert all(figures[name]["bytesAfter"] > 0 for name in RECIPES)
