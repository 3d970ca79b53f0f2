"""Laws of model URIs."""

import pytest
import re2
from hypothesis import example, given
from hypothesis import strategies as st

from modelops.registry.uri import (
    URI_HELP,
    URI_PATTERN,
    ClaimSource,
    HubSource,
    S3Source,
    Source,
    parse_uri,
)

READ = {
    "hf://Qwen/Qwen3-8B": HubSource("Qwen", "Qwen3-8B"),
    "hf://meta-llama/Llama-3.1-8B@main": HubSource("meta-llama", "Llama-3.1-8B", "main"),
    "hf://a/b@refs/pr/1": HubSource("a", "b", "refs/pr/1"),
    "hf://a/b@v1.0.2": HubSource("a", "b", "v1.0.2"),
    "s3://models/llama/3-8b": S3Source("models", "llama/3-8b"),
    "s3://my.bucket/x": S3Source("my.bucket", "x"),
    "pvc://weights/tiny": ClaimSource("weights", "tiny"),
    "pvc://a.b-c/.cache/hub/models--a--b/snapshots/0f": ClaimSource(
        "a.b-c", ".cache/hub/models--a--b/snapshots/0f"
    ),
}

REFUSED = [
    "",
    "Qwen/Qwen3-8B",
    "hf:/a/b",
    "HF://a/b",
    "ftp://a/b",
    "hf://a",
    "hf://a/",
    "hf:///b",
    "hf://a/b/c",
    "hf://a/b@",
    "hf://a/b@x@y",
    "hf://a/..",
    "hf://../b",
    "hf://a/b@../../c",
    "hf://a/b@-x",
    "hf://a/b c",
    "hf://a/b?revision=x",
    "hf://a/b\n",
    "s3://bucket",
    "s3://bucket/",
    "s3://bucket/a/",
    "s3://bucket//a",
    "s3://Bucket/a",
    "s3://b/a",
    "s3://bucket/../other",
    "s3://bucket/a/./b",
    "s3://bucket/a%2f..",
    "s3://user:word@bucket/a",
    "pvc://claim",
    "pvc://claim/",
    "pvc://claim//x",
    "pvc://claim/a/../../etc",
    "pvc://claim/..",
    "pvc://Claim/x",
    "pvc://claim/x y",
    "pvc://claim/x#y",
    "pvc://claim/ü",
]

_ANY_URI = st.from_regex(URI_PATTERN.removesuffix("$"), fullmatch=True)
_NEAR_URI = st.builds(
    "{}://{}".format,
    st.sampled_from(["hf", "s3", "pvc", "oci", ""]),
    st.text(st.sampled_from("aZ09_-./@+:=~,%? \n\\'\"ü"), max_size=30),
)


@pytest.mark.parametrize(("text", "source"), READ.items())
def test_reads(text: str, source: Source) -> None:
    """A URI is read part by part."""
    assert parse_uri(text) == source


@pytest.mark.parametrize("text", REFUSED)
def test_refuses_with_what_to_write(text: str) -> None:
    """What is not a URI is refused with the form to write, by the pattern as well."""
    with pytest.raises(ValueError, match=r"write (it|the uri) as [a-z0-9]+://"):
        parse_uri(text)
    assert not re2.search(URI_PATTERN, text)


@given(st.one_of(_ANY_URI, _NEAR_URI, st.text()))
@example("hf://a/b\n")
def test_pattern_accepts_exactly_what_is_read(text: str) -> None:
    """RE2 (the API server) and parse_uri (everything else) agree on every text."""
    try:
        parse_uri(text)
    except ValueError:
        assert not re2.search(URI_PATTERN, text)
    else:
        assert re2.search(URI_PATTERN, text)


@given(_ANY_URI)
def test_reading_and_writing_are_inverse(text: str) -> None:
    """A source written as text is the URI that it was read from."""
    assert str(parse_uri(text)) == text


@given(_ANY_URI)
def test_no_part_leads_out_of_its_parent(text: str) -> None:
    """No URI has a part that is empty, '.' or '..'."""
    parts = text.split("://", 1)[1].split("/")
    assert not {"", ".", ".."} & set(parts)


def test_the_pattern_fits_in_quotes() -> None:
    """The pattern and its help can be quoted in CEL and YAML without escapes."""
    assert not set("'\"\\") & set(URI_PATTERN)
    assert set('"\\').isdisjoint(URI_HELP)
