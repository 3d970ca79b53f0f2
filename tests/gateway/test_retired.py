"""How long clusters stay that are not needed any more."""

from hypothesis import given
from hypothesis import strategies as st

from modelops.gateway.retired import KEEP_SECONDS, Retired
from modelops.gateway.typed import Json

NAMES = st.frozensets(st.sampled_from("abc"))


def clusters(names: frozenset[str]) -> dict[str, Json]:
    """Return clusters with these names."""
    return {name: {"name": name} for name in names}


@given(st.lists(st.tuples(st.floats(0, 2 * KEEP_SECONDS), NAMES), max_size=8))
def test_what_went_stays_for_a_while_and_not_for_good(steps: list[tuple[float, frozenset]]) -> None:
    """Beside the needed clusters are exactly those that went less than so many seconds ago."""
    retired, now = Retired[Json](), 0.0
    went: dict[str, float] = {}
    last: frozenset[str] = frozenset()
    for pause, names in steps:
        now += pause
        went = {n: t for n, t in went.items() if now - t < KEEP_SECONDS}
        went = {n: t for n, t in (went | dict.fromkeys(last, now)).items() if n not in names}
        assert retired.beside(clusters(names), now).keys() == went.keys()
        last = names


def test_a_cluster_that_was_needed_for_long_stays_as_long() -> None:
    """What counts is when it went, and not when it was last written."""
    retired = Retired[Json]()
    assert retired.beside(clusters(frozenset("a")), 0) == {}
    assert retired.beside({}, 1000 * KEEP_SECONDS) == {"a": {"name": "a"}}
    assert retired.beside({}, 1002 * KEEP_SECONDS) == {}
