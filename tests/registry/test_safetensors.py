"""Laws of the formats that are looked into."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetch.model import safetensors
from modelops.registry.safetensors import PREFIX_BYTES, check_header, header_length
from modelops.registry.sums import read_sums


def check(data: bytes, size: int) -> None:
    """Check the beginning of a file that has ``size`` bytes."""
    length = header_length(data[:PREFIX_BYTES], size)
    check_header(data[PREFIX_BYTES : PREFIX_BYTES + length], size)


@given(st.integers(0, 3000), st.integers(-2000, 2000))
def test_a_file_has_the_size_that_its_header_tells(size: int, more: int) -> None:
    """A file that is cut, or has bytes too many, is found by its header alone."""
    data = safetensors(size)
    if more == 0:
        check(data, len(data))
        return
    with pytest.raises(ValueError, match="header"):
        check(data, len(data) + more)


@given(st.binary(max_size=200))
def test_rubbish_is_refused(data: bytes) -> None:
    """Whatever a file begins with, checking it ends with a ValueError or not at all."""
    with pytest.raises(ValueError, match="header"):
        check(data, len(data) + 100_000)


def test_a_page_instead_of_a_model_is_refused() -> None:
    """An error page or a Git LFS pointer under the name of a model is no safetensors file."""
    with pytest.raises(ValueError, match="header"):
        check(b"version https://git-lfs.github.com/spec/v1\n", 134)


@given(st.dictionaries(st.text("ab/._ -", min_size=1, max_size=9), st.binary(max_size=9)))
def test_reads_what_sha256sum_prints(content: dict[str, bytes]) -> None:
    """Every path gets its checksum, in text and in binary mode."""
    hashes = {path: hashlib.sha256(data).hexdigest() for path, data in content.items()}
    named = {path: value for path, value in hashes.items() if not path.startswith("./")}
    for mode in " *":
        text = "".join(f"{value} {mode}{path}\n" for path, value in named.items())
        assert read_sums(text) == {path: f"sha256:{value}" for path, value in named.items()}


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    """Lines that are no checksums are passed over."""
    assert isinstance(read_sums(text), dict)
