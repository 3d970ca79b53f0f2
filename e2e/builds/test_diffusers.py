"""The builder's image makes a smaller pipeline of the tiny one, and the engine paints from it."""

from e2e.builds.smoke import smoke


def test_a_real_pipeline_is_made_smaller_and_served() -> None:
    """8-bit integers by torchao in a restricted container, once; the engine paints from them."""
    method = "Int8WeightOnly"
    figures = smoke("diffusers-builder", ("diffusers-builder",), "--methods", method)[method]
    assert figures["quality"]["ssim"] > 0.9
