"""Which models a key may use."""

from modelops.gateway.grants import is_grant


def test_a_grant_is_a_name_or_a_beginning() -> None:
    """A star stands at the end or not at all, and nothing is empty."""
    assert all(map(is_grant, ("*", "llama*", "Qwen/Qwen3-8B")))
    assert not any(map(is_grant, ("", "a*b", "**", "a b", "n" * 256)))
