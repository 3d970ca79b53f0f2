"""Who is painted next, and with whom."""

from diffusion.line import Line
from hypothesis import given
from hypothesis import strategies as st

Waiting = tuple[int, str, int]
waiting = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 4)), max_size=20)


def line(*those: Waiting) -> Line[Waiting]:
    """Return a line of (number, shape, size)."""
    made: Line[Waiting] = Line(lambda one: one[1], lambda one: one[2])
    for one in those:
        made.join(one)
    return made


def test_the_first_goes_with_those_of_its_shape() -> None:
    """As many as fit; the others keep their places."""
    those = line((1, "a", 1), (2, "b", 1), (3, "a", 2), (4, "a", 2), (5, "a", 1))
    assert those.take(4) == [(1, "a", 1), (3, "a", 2), (5, "a", 1)]
    assert those.take(4) == [(2, "b", 1)]
    assert those.take(4) == [(4, "a", 2)]
    assert those.take(4) == []


def test_one_that_is_larger_than_a_batch_goes_alone() -> None:
    """It is cut into several later."""
    assert line((1, "a", 9), (2, "a", 1)).take(4) == [(1, "a", 9)]


def test_who_leaves_is_not_painted() -> None:
    """Who left already may leave again."""
    stays, goes = (1, "a", 1), (2, "a", 1)
    those = line(stays, goes)
    those.leave(goes)
    those.leave(goes)
    assert len(those) == 1
    assert those.take(9) == [stays]


@given(waiting, st.integers(1, 6))
def test_everybody_has_their_turn(given_: list[tuple[str, int]], most: int) -> None:
    """Each is taken once, the first always among the next, and no batch mixes shapes."""
    those = [(number, *one) for number, one in enumerate(given_)]
    waits, turns = line(*those), []
    while taken := waits.take(most):
        left = [one for one in those if one not in turns]
        assert taken[0] == left[0]
        assert len({one[1] for one in taken}) == 1
        assert len(taken) == 1 or sum(one[2] for one in taken) <= most
        turns.extend(taken)
    assert sorted(turns) == those
