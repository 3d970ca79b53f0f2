"""The laws of places that requests hold, and that come back when nobody says that they ended."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from modelops.gateway.limiter.leases import LONGEST_SECONDS, LOST_READINGS, Held, Leases

CLUSTERS = st.sampled_from(("team.a", "team.b", None))
HELD = st.lists(CLUSTERS, min_size=1, max_size=8)


def lent(clusters: list[str | None], since: float = 0.0) -> Leases:
    """Return leases for requests to these clusters."""
    leases = Leases()
    for number, cluster in enumerate(clusters):
        leases.begin(str(number), Held((f"limit-{number}",), cluster or "", cluster, since))
    return leases


@given(HELD, st.dictionaries(CLUSTERS.filter(bool), st.integers(0, 5)))
def test_what_a_model_has_no_request_for_comes_back_in_time(
    clusters: list[str | None], active: dict[str, int]
) -> None:
    """After so many readings no model's places are more than its requests; none goes before."""
    leases, running = lent(clusters), {"other": 1, **active}
    found = [leases.lost(running, 1.0) for _ in range(LOST_READINGS)]
    assert not any(found[:-1])
    kept = Counter(c for n, c in enumerate(clusters) if c and str(n) not in found[-1])
    before = Counter(c for c in clusters if c)
    assert kept == Counter({c: min(n, active.get(c, 0)) for c, n in before.items()})
    assert not {str(n) for n, c in enumerate(clusters) if c is None} & found[-1]


@given(HELD, st.integers(1, LOST_READINGS - 1))
def test_a_request_that_connects_keeps_its_place(clusters: list[str | None], late: int) -> None:
    """Readings in which Envoy does not have a request yet cost it nothing when it comes."""
    leases = lent(clusters)
    whole = {**Counter(c for c in clusters if c), "other": 1}
    for _ in range(3):
        assert not any(leases.lost({"other": 1}, 1.0) for _ in range(late))
        assert not leases.lost(whole, 1.0)


@given(HELD, st.floats(0, 2 * LONGEST_SECONDS))
def test_no_place_is_held_for_longer_than_an_hour(clusters: list[str | None], now: float) -> None:
    """Not even where as many requests run as places are held, which may be others."""
    leases = lent(clusters)
    lost = leases.lost(dict.fromkeys(("team.a", "team.b", "other"), 99), now)
    assert lost == (set(leases.held) if now >= LONGEST_SECONDS else set())


@given(HELD)
def test_all_come_back_when_envoy_has_none(clusters: list[str | None]) -> None:
    """An Envoy that has no request has none that holds anything, wherever it was to go."""
    leases = lent(clusters)
    found = [leases.lost({}, 1.0) for _ in range(LOST_READINGS)]
    assert found[-1] == set(leases.held)
    assert not any(found[:-1])


def test_to_end_twice_gives_nothing_back_twice() -> None:
    """The second word that a request has ended finds nothing held."""
    leases = lent(["team.a"])
    assert leases.end("0").addresses == ("limit-0",)
    assert leases.end("0") == Held()
