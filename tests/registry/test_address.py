"""Laws of content addresses and of the paths that a source may list."""

from string import ascii_lowercase

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from modelops.registry.address import Record, check_paths, digest
from modelops.registry.failure import Failure

_TEXT = st.text(max_size=12)
_RECORDS = st.builds(Record, _TEXT, st.integers(0, 2**60), _TEXT)
_LISTS = st.lists(_RECORDS, max_size=6)
_PARTS = st.text(ascii_lowercase, min_size=1, max_size=3)


@given(_LISTS.flatmap(lambda records: st.tuples(st.just(records), st.permutations(records))))
def test_order_does_not_matter(pair: tuple[list[Record], list[Record]]) -> None:
    """The same files have the same address, in whatever order they are listed."""
    records, shuffled = pair
    assert digest(records) == digest(shuffled)


@given(_LISTS, _LISTS)
def test_other_files_have_another_address(one: list[Record], other: list[Record]) -> None:
    """Two addresses are equal only if path, size and checksum of all files are."""
    assume(sorted(one) != sorted(other))
    assert digest(one) != digest(other)


def test_the_address_stays() -> None:
    """The form of the address is for ever: caches outlive versions."""
    records = [Record("b", 2, "git:1"), Record("a", 1, "sha256:0")]
    assert digest(records) == "987619eaef8ecf4bcf8e05c5c9ba93f128c829c1590ff863b7f34a7deac0c1ba"


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../x", "a/../b", "a/./b", "a//b", "a/", ".", "a\\b", "a\0b", "x" * 256],
)
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    """A source cannot name a file outside the snapshot, nor one that no disk can hold."""
    with pytest.raises(Failure) as caught:
        check_paths([Record(path, 1)])
    assert caught.value.reason == "WeightsCorrupt"


@pytest.mark.parametrize("paths", [["a", "a"], ["a", "a/b"], ["a/b", "a"], ["a/b/c", "a"]])
def test_paths_that_collide_are_refused(paths: list[str]) -> None:
    """No file is listed twice or is a folder as well."""
    with pytest.raises(Failure, match=r"is listed"):
        check_paths([Record(path, 1) for path in paths])


def test_a_negative_size_is_refused() -> None:
    """No file has less than no bytes."""
    with pytest.raises(Failure):
        check_paths([Record("a", -1)])


@given(st.lists(st.lists(_PARTS, min_size=1, max_size=3).map("/".join), unique=True, max_size=6))
def test_plain_paths_are_accepted(paths: list[str]) -> None:
    """Paths are fine as long as none is the folder of another."""
    assume(not any(one.startswith(f"{other}/") for one in paths for other in paths))
    check_paths(Record(path, 0) for path in paths)
