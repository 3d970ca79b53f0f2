"""A user's partial pod template is laid over ours as a strategic merge patch would be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.sync.merge import merge

CASES = {
    "a field is added": ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
    "a field is replaced": ({"a": 1}, {"a": 2}, {"a": 2}),
    "objects merge": ({"a": {"b": 1, "c": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
    "null removes": ({"a": 1, "b": 1}, {"a": None}, {"b": 1}),
    "null removes what never was": ({}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}),
    "lists of plain values are replaced": ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
    "named items merge": (
        {"containers": [{"name": "engine", "image": "a", "tty": False}]},
        {"containers": [{"name": "engine", "image": "b"}, {"name": "proxy"}]},
        {"containers": [{"name": "engine", "image": "b", "tty": False}, {"name": "proxy"}]},
    ),
    "mounts merge by path, not by name": (
        {"volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]},
        {"volumeMounts": [{"name": "d", "mountPath": "/a"}, {"name": "d", "mountPath": "/b"}]},
        {
            "volumeMounts": [
                {"name": "tmp", "mountPath": "/tmp"},
                {"name": "d", "mountPath": "/a"},
                {"name": "d", "mountPath": "/b"},
            ]
        },
    ),
    "ports merge by number": (
        {"ports": [{"containerPort": 8000, "name": "http"}]},
        {"ports": [{"containerPort": 8000, "hostIP": "x"}, {"containerPort": 9}]},
        {"ports": [{"containerPort": 8000, "name": "http", "hostIP": "x"}, {"containerPort": 9}]},
    ),
    "an empty list changes nothing": (
        {"env": [{"name": "A"}]},
        {"env": []},
        {"env": [{"name": "A"}]},
    ),
    "items without names replace": (
        {"env": [{"name": "A"}]},
        {"env": [{"x": 1}]},
        {"env": [{"x": 1}]},
    ),
    "another shape replaces": ({"a": {"b": 1}}, {"a": "text"}, {"a": "text"}),
}

json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["a", "name", "ports", "containerPort"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from(["a", "name", "ports", "env"]), json, max_size=4)


@pytest.mark.parametrize(("base", "patch", "result"), CASES.values(), ids=CASES)
def test_a_patch_is_laid_over_a_base(base: dict, patch: dict, result: dict) -> None:
    """Objects merge by field, lists by key, the rest is replaced, null removes."""
    assert merge(base, patch) == result


def test_the_order_of_the_base_is_kept() -> None:
    """A patched field stays where it was: a rendered pod reads the same."""
    assert list(merge({"a": 1, "b": 2, "c": 3}, {"d": 4, "b": 5})) == ["a", "b", "c", "d"]


@given(base=objects, patch=objects)
def test_a_patch_holds_afterwards(base: dict, patch: dict) -> None:
    """Laying the same patch twice is laying it once."""
    once = merge(base, patch)
    assert merge(once, patch) == once


@given(base=objects)
def test_an_empty_patch_changes_nothing(base: dict) -> None:
    """A base under an empty patch is itself."""
    assert merge(base, {}) == base
