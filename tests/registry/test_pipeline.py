"""Laws of which weights of a diffusers pipeline are fetched, as its repository is published."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.registry.address import Record
from modelops.registry.failure import Failure
from modelops.registry.selection import select


def shards(stem: str, count: int) -> list[str]:
    """Return the names of so many shards."""
    return [f"{stem}-{n:05}-of-{count:05}.safetensors" for n in range(1, count + 1)]


PART = "diffusion_pytorch_model"
XL = (
    *("text_encoder/model", "text_encoder_2/model", f"unet/{PART}", f"vae/{PART}"),
    f"vae_1_0/{PART}",
)
READ = {
    "SDXL": [f"{stem}.safetensors" for stem in XL],
    "FLUX": [
        "text_encoder/model.safetensors",
        *shards("text_encoder_2/model", 2),
        *shards(f"transformer/{PART}", 3),
        f"vae/{PART}.safetensors",
    ],
    "SD3": [
        "text_encoder/model.safetensors",
        "text_encoder_2/model.safetensors",
        *shards("text_encoder_3/model", 2),
        *shards(f"transformer/{PART}", 2),
        f"vae/{PART}.safetensors",
    ],
    "Qwen-Image": [
        *shards("text_encoder/model", 4),
        *shards(f"transformer/{PART}", 9),
        f"vae/{PART}.safetensors",
    ],
}
"""What is read of each family."""

UNREAD = {
    "SDXL": [
        "sd_xl_base_1.0.safetensors",
        "sd_xl_base_1.0_0.9vae.safetensors",
        "sd_xl_offset_example-lora_1.0.safetensors",
        *(f"{stem}.fp16.safetensors" for stem in XL),
        *("text_encoder/openvino_model.bin", "text_encoder/model.onnx", "unet/model.onnx_data"),
        "unet/flax_model.msgpack",
    ],
    "FLUX": ["ae.safetensors", "flux1-schnell.safetensors"],
    "SD3": [
        "sd3.5_large.safetensors",
        *(f"text_encoders/{n}.safetensors" for n in ("clip_g", "clip_l", "t5xxl_fp8_e4m3fn")),
        "text_encoder/model.fp16.safetensors",
        "text_encoder_2/model.fp16.safetensors",
        *shards("text_encoder_3/model.fp16", 2),
        "text_encoder_3/model.safetensors.index.fp16.json",
    ],
    "Qwen-Image": [],
}
"""What lies beside it there."""


def taken(*paths: str) -> list[str]:
    """Return the files that are selected of a pipeline with these, which has what is small."""
    folders = {p.partition("/")[0] for p in paths if "/" in p} - {"text_encoders"}
    small = ["model_index.json", *(f"{f}/config.json" for f in folders)]
    chosen = select([Record(path, 1) for path in (*paths, *small)])
    return sorted(record.path for record in chosen.records if record.path not in small)


@pytest.mark.parametrize("family", READ)
def test_of_each_part_the_full_weights_are_fetched(family: str) -> None:
    """Variants, checkpoints in one file and other libraries' folders are left out."""
    indexes = [
        f"{path.split('-00001-of')[0]}.safetensors.index.json"
        for path in READ[family]
        if "-00001-of" in path
    ]
    wanted = [*READ[family], *indexes]
    assert taken(*wanted, *UNREAD[family]) == sorted(wanted)


@pytest.mark.parametrize(
    ("inside", "wanted"),
    [
        ([f"{PART}.fp16", f"{PART}.bf16", f"{PART}.non_ema"], f"{PART}.fp16"),
        ([f"{PART}.non_ema", f"{PART}.bf16"], f"{PART}.bf16"),
        ([f"{PART}.non_ema"], f"{PART}.non_ema"),
        ([f"{PART}-00001-of-00001.fp16", PART], PART),
        ([PART, "lora"], PART),
        (["odd"], "odd"),
    ],
)
def test_a_part_without_full_weights_gives_one_variant(inside: list[str], wanted: str) -> None:
    """Where there is no other, one variant is taken, or what there is."""
    assert taken(*(f"unet/{n}.safetensors" for n in inside)) == [f"unet/{wanted}.safetensors"]


def test_adapters_are_fetched_whole() -> None:
    """LoRAs and the like have names of their own, which are no variants of each other."""
    adapters = [
        "loras/model.fp16.safetensors",
        "loras/model.safetensors",
        "ip-adapter/a.safetensors",
    ]
    small = ["model_index.json", "unet/config.json"]
    weights = [*adapters, f"unet/{PART}.safetensors"]
    chosen = select([Record(path, 1) for path in (*weights, *small)])
    assert sorted(record.path for record in chosen.weights) == sorted(weights)


def test_a_pipeline_in_one_file_is_fetched() -> None:
    """Where no part has weights, what there is is taken, and the engine says what it thinks."""
    records = [Record("model_index.json", 1), Record("sd.safetensors", 1)]
    assert [record.path for record in select(records).weights] == ["sd.safetensors"]


def test_a_shard_that_is_missing_is_told() -> None:
    """The full weights are asked to be whole; a variant that is left out is not."""
    whole = shards(f"unet/{PART}", 2)
    assert taken(*whole, *shards(f"unet/{PART}.fp16", 3)[:1]) == whole
    with pytest.raises(Failure, match="only 1 of the 2"):
        taken(whole[0], f"unet/{PART}.fp16.safetensors")


@given(st.sets(st.sampled_from([*UNREAD["SDXL"], *UNREAD["FLUX"]])))
def test_what_lies_beside_changes_nothing(beside: set[str]) -> None:
    """What is read is the same whatever else is there."""
    assert taken(*READ["SDXL"], *beside) == sorted(READ["SDXL"])
