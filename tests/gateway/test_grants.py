"""Which models a key may use."""

import re2
from hypothesis import given
from hypothesis import strategies as st

from modelops.api.grants import granted
from modelops.gateway.grants import covering, is_grant

NAMES = st.text("ab.*/-_\\[é ", min_size=1, max_size=6).filter(lambda n: "*" not in n)
GRANTS = st.text("ab.*/-_\\[é ", max_size=6).filter(is_grant)


@given(NAMES, GRANTS)
def test_envoy_judges_a_grant_as_the_command_line_does(name: str, grant: str) -> None:
    """The regular expression of a name takes exactly the grants that cover the name."""
    assert bool(re2.fullmatch(covering(name), grant)) == granted(name, [grant])


def test_the_longest_name_is_within_what_the_regular_expressions_hold() -> None:
    """A name of 255 letters is covered by its own beginnings and by nothing else."""
    name = "n" * 255
    pattern = re2.compile(covering(name))
    assert pattern.fullmatch("n" * 254 + "*")
    assert not pattern.fullmatch("n" * 254 + "m")


def test_a_grant_is_a_name_or_a_beginning() -> None:
    """A star stands at the end or not at all, and nothing is empty."""
    assert all(map(is_grant, ("*", "llama*", "Qwen/Qwen3-8B")))
    assert not any(map(is_grant, ("", "a*b", "**", "a b", "n" * 256)))
