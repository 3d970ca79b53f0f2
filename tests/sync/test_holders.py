"""Which object a name belongs to."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from modelops.sync.holders import holders


@dataclass(frozen=True)
class Bearer:
    """An object with a name that clients send."""

    served_name: str
    created: int
    namespace: str
    name: str


BEARERS = st.lists(
    st.builds(Bearer, st.sampled_from("xy"), st.integers(0, 3), st.text("ab"), st.text("ab")),
    unique_by=lambda b: (b.namespace, b.name),
)


@given(BEARERS, st.randoms())
def test_the_oldest_has_the_name_in_whatever_order(bearers: list[Bearer], random) -> None:  # noqa: ANN001
    """Each name belongs to one of those that ask for it, none of which is older."""
    held = holders(bearers)
    assert held.keys() == {b.served_name for b in bearers}
    for name, holder in held.items():
        rivals = [b for b in bearers if b.served_name == name]
        assert holder in rivals
        assert holder.created == min(b.created for b in rivals)
    shuffled = list(bearers)
    random.shuffle(shuffled)
    assert holders(shuffled) == held


def test_of_two_alike_the_first_has_it() -> None:
    """A model and a route of the same name, made in the same second: the one given first."""
    first, second = Bearer("x", 1, "a", "b"), Bearer("x", 1, "a", "b")
    assert holders([first, second])["x"] is first
