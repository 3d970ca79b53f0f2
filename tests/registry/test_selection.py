"""Laws of which files are fetched."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.registry.address import Record
from modelops.registry.failure import Failure
from modelops.registry.selection import Formats, RemoteCode, check_index, check_listed, select

SIDE = ["config.json", "tokenizer.model", "merges.txt", "chat_template.jinja", "qwen.tiktoken"]


def chosen(
    *paths: str, formats: Formats = "SafetensorsOnly", remote_code: RemoteCode = "Deny"
) -> list[str]:
    """Return the paths that are selected of these."""
    selection = select([Record(path, 1) for path in paths], formats, remote_code)
    return [record.path for record in selection.records]


def test_weights_and_what_belongs_to_them() -> None:
    """Safetensors, configuration, tokenizer and template are fetched, folders included."""
    wanted = sorted(["model.safetensors", "1_Pooling/config.json", *SIDE])
    assert chosen(*wanted, "README.md", "LICENSE", "model.onnx", "flax_model.msgpack") == wanted


@pytest.mark.parametrize(
    "path",
    [
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
        "consolidated.safetensors",
        "original/model.safetensors",
        "original/params.json",
        ".cache/model.safetensors",
        "modeling_acme.py",
        "artifact.json",
        "x.pth",
        "tf_model.h5",
    ],
)
def test_left_out(path: str) -> None:
    """Pickles, copies, hidden files, code and our own artifact.json are left out."""
    assert chosen("model.safetensors", path) == ["model.safetensors"]


def test_consolidated_alone_is_taken() -> None:
    """Weights in the consolidated form are taken where there are no others beside them."""
    assert chosen("consolidated.safetensors", "params.json") == [
        "consolidated.safetensors",
        "params.json",
    ]


def test_code_is_fetched_when_allowed() -> None:
    """Python files come along only if remote code is allowed."""
    paths = ("model.safetensors", "modeling_acme.py")
    assert chosen(*paths, remote_code="Allow") == sorted(paths)


def test_pickle_is_taken_only_where_it_must() -> None:
    """With AllowPickle safetensors still win; pickles come with their own index."""
    both = ("model.safetensors", "pytorch_model.bin", "pytorch_model.bin.index.json")
    assert chosen(*both, formats="AllowPickle") == ["model.safetensors"]
    assert chosen(*both[1:], formats="AllowPickle") == list(both[1:])


@pytest.mark.parametrize("path", ["pytorch_model.bin", "model.pt", "x.ckpt", "sub/y.pth"])
def test_only_pickle_is_unsafe(path: str) -> None:
    """A source with nothing but pickles is refused with a way out."""
    with pytest.raises(Failure) as caught:
        chosen(path, "config.json")
    assert caught.value.reason == "WeightsUnsafe"
    assert "AllowPickle" in caught.value.action


@pytest.mark.parametrize("paths", [[], ["config.json"], ["training_args.bin"], ["model.onnx"]])
def test_no_weights(paths: list[str]) -> None:
    """A source without weights is WeightsIncomplete."""
    with pytest.raises(Failure) as caught:
        chosen(*paths)
    assert caught.value.reason == "WeightsIncomplete"


@given(st.integers(2, 30), st.data())
def test_each_numbered_shard_is_needed(count: int, data: st.DataObject) -> None:
    """Of N numbered shards all N must be there."""
    shards = [f"model-{i:05}-of-{count:05}.safetensors" for i in range(1, count + 1)]
    assert chosen(*shards) == shards
    shards.remove(data.draw(st.sampled_from(shards)))
    with pytest.raises(Failure, match=f"{count - 1} of the {count}"):
        chosen(*shards)


def test_index_is_relative_to_its_folder() -> None:
    """An index in a folder names files of that folder."""
    text = json.dumps({"weight_map": {"a": "x.safetensors"}})
    check_index("unet/model.safetensors.index.json", text, ["unet/x.safetensors"])
    with pytest.raises(Failure, match=r"unet/x\.safetensors"):
        check_index("unet/model.safetensors.index.json", text, ["x.safetensors"])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": 1}', '{"weight_map": {"a": 1}}'])
def test_what_is_no_index(text: str) -> None:
    """Any other content is WeightsIncomplete, never a crash."""
    with pytest.raises(Failure) as caught:
        check_index("i.json", text, [])
    assert caught.value.reason == "WeightsIncomplete"


def test_sums_tell_what_must_be_there() -> None:
    """Weights that the author's list names must be there; other files need not."""
    check_listed(["a.safetensors", "README.md"], ["a.safetensors"])
    with pytest.raises(Failure):
        check_listed(["a.safetensors"], [])


def test_a_model_in_gguf_is_taken_with_all_its_files() -> None:
    """Where there are no safetensors, the one GGUF model is what is served, in parts or whole."""
    assert chosen("model.gguf", "config.json") == ["config.json", "model.gguf"]
    parts = [f"m-Q4_K_M-0000{number}-of-00002.gguf" for number in (1, 2)]
    assert chosen(*parts, "README.md") == parts
    assert chosen("model.safetensors", "model.gguf") == ["model.safetensors"]


def test_of_many_models_in_gguf_none_is_chosen() -> None:
    """A source with one model in many precisions is refused, as is one that lacks a part."""
    with pytest.raises(Failure) as several:
        chosen("m-Q4_K_M.gguf", "m-Q8_0.gguf")
    assert several.value.reason == "WeightsAmbiguous"
    with pytest.raises(Failure) as part:
        chosen("m-00001-of-00002.gguf")
    assert part.value.reason == "WeightsIncomplete"
