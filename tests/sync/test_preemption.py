"""Who gives way to whom where accelerators are few."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.sync.observed import Ref
from modelops.sync.preemption import Contender, giving_way

GPU = "nvidia.com/gpu"


def model(name: str, priority: int = 0, *, replicas: int = 1, count: int = 1) -> Contender:
    """Return an idle model."""
    ref = Ref("modelops.dev/v1alpha1", "TextModel", "team", name)
    return Contender(ref, priority, GPU, count, replicas, replicas, idle=True)


WAITING = replace(model("waiting", 10, replicas=1, count=2), waits=True, idle=False)

CHOICES: dict[str, tuple[Contender, list[Contender], list[str]]] = {
    "the lowest first": (
        replace(WAITING, count=1),
        [model("b", 5), model("a", 5), model("c", 1)],
        ["c"],
    ),
    "as many as are needed": (WAITING, [model("a"), model("b"), model("c")], ["a", "b"]),
    "who gives most": (WAITING, [model("a"), model("z", count=2)], ["z"]),
    "all replicas of one": (WAITING, [model("a", replicas=2)], ["a"]),
    "not enough there": (WAITING, [model("a")], []),
    "equal priority": (WAITING, [model("a", 10, count=2)], []),
    "busy": (WAITING, [replace(model("a", count=2), idle=False)], []),
    "another resource": (WAITING, [replace(model("a", count=2), resource_name="amd.com/gpu")], []),
    "pending itself": (
        WAITING,
        [replace(model("a", count=2), ready=0), model("b", 5, count=2)],
        ["b"],
    ),
    "partly pending": (WAITING, [replace(model("a", replicas=2), ready=1), model("b")], ["a", "b"]),
    "at zero already": (WAITING, [model("a", replicas=0, count=2)], []),
    "nobody waits": (replace(WAITING, waits=False), [model("a", count=2)], []),
    "on CPU": (
        replace(WAITING, resource_name=None, count=0),
        [replace(model("a"), resource_name=None)],
        [],
    ),
}


@pytest.mark.parametrize(("waiting", "others", "expected"), CHOICES.values(), ids=CHOICES)
def test_who_gives_way(waiting: Contender, others: list[Contender], expected: list[str]) -> None:
    """Each rule by one example; the order in which models are known does not matter."""
    for known in (others, others[::-1]):
        assert [one.ref.name for one in giving_way(waiting, [waiting, *known])] == expected


contenders = st.builds(
    lambda name, resource, idle, ready, **more: replace(
        model(name, **more), resource_name=resource, idle=idle, ready=ready
    ),
    st.sampled_from("abcdef"),
    st.sampled_from([None, GPU, "amd.com/gpu"]),
    st.booleans(),
    st.integers(0, 3),
    priority=st.integers(-2, 12),
    replicas=st.integers(0, 3),
    count=st.integers(0, 4),
)


@given(others=st.lists(contenders, unique_by=lambda one: one.ref))
def test_only_idle_models_of_lower_priority_give_way(others: list[Contender]) -> None:
    """They free enough of the very resource, or stay; and none of them goes in vain."""
    gone = giving_way(WAITING, [WAITING, *others])
    for one in gone:
        assert one.idle
        assert one.priority < WAITING.priority
        assert one.resource_name == WAITING.resource_name
    freed = [one.held for one in gone]
    assert not gone or sum(freed) >= WAITING.count > sum(freed[:-1])
