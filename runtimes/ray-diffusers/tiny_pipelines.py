"""Makes tiny random pipelines: `python3 tiny_pipelines.py OUT [FAMILY...] [--seed N] [--judge V]`.

OUT/FAMILY is a diffusers pipeline of a few megabytes for each family, of safetensors files; equal
seeds give equal bytes. Beside them OUT/control-nets, OUT/loras and OUT/ip-adapter hold what fits to
`sd15`. Its safety checker finds every picture unsafe with `--judge unsafe`, and none otherwise.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLQwenImage,
    ControlNetModel,
    DDIMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from peft import LoraConfig
from safetensors.torch import save_file
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3Model,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

PRINTABLE = [chr(code) for code in range(33, 127)]
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n"
)


def clip_tokenizer() -> CLIPTokenizer:
    """A tokenizer of characters."""
    pieces = [*PRINTABLE, *(f"{c}</w>" for c in PRINTABLE), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def clip_text(tokenizer: CLIPTokenizer, kind: Any = CLIPTextModel, width: int = 32) -> Any:
    """A text encoder of two layers."""
    return kind(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            hidden_size=width,
            projection_dim=width,
            intermediate_size=64,
            num_attention_heads=4,
            num_hidden_layers=2,
        )
    )


def t5_tokenizer() -> T5Tokenizer:
    """A tokenizer of characters."""
    pieces = ["<pad>", "</s>", "<unk>", "▁", *PRINTABLE]
    scored = [(piece, -float(index)) for index, piece in enumerate(pieces)]
    return T5Tokenizer(vocab=scored, extra_ids=0, model_max_length=64)


def t5_text(tokenizer: T5Tokenizer) -> T5EncoderModel:
    """A text encoder of one layer."""
    config = T5Config(
        vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=4
    )
    return T5EncoderModel(config)


def qwen_tokenizer() -> Qwen2Tokenizer:
    """A tokenizer of bytes."""
    pieces = sorted(ByteLevel.alphabet())
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"]
    vocabulary = {piece: index for index, piece in enumerate([*pieces, *special])}
    tokenizer = Qwen2Tokenizer(vocab=vocabulary, merges=[], model_max_length=1024)
    tokenizer.add_special_tokens({"additional_special_tokens": special[1:]})
    tokenizer.chat_template = CHAT
    return tokenizer


def vae(latents: int) -> AutoencoderKL:
    """What makes pictures of latents, eight pixels for each value."""
    return AutoencoderKL(
        block_out_channels=[4, 8, 8, 8],
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        latent_channels=latents,
        norm_num_groups=2,
        sample_size=64,
        shift_factor=0.1,
    )


def unet(**more: Any) -> UNet2DConditionModel:
    """A denoiser for pictures of 64 by 64."""
    return UNet2DConditionModel(
        block_out_channels=(16, 32),
        layers_per_block=1,
        sample_size=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
        **more,
    )


def checker(concept: float) -> StableDiffusionSafetyChecker:
    """A safety checker whose every concept is as near to every picture as `concept` says."""
    vision = {"hidden_size": 32, "intermediate_size": 37, "num_attention_heads": 4}
    vision |= {"num_hidden_layers": 1, "image_size": 32, "patch_size": 8}
    config = CLIPConfig(vision_config=vision, text_config={"hidden_size": 32}, projection_dim=32)
    made = StableDiffusionSafetyChecker(config)
    with torch.no_grad():
        made.concept_embeds_weights.fill_(concept)
        made.special_care_embeds_weights.fill_(9.0)
    return made


def sd15(concept: float) -> StableDiffusionPipeline:
    """Stable Diffusion 1.5, with a safety checker."""
    tokenizer = clip_tokenizer()
    return StableDiffusionPipeline(
        vae=vae(4),
        text_encoder=clip_text(tokenizer),
        tokenizer=tokenizer,
        unet=unet(cross_attention_dim=32, attention_head_dim=4),
        scheduler=DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
        safety_checker=checker(concept),
        feature_extractor=CLIPImageProcessor(size=32, crop_size=32),
    )


def sdxl(_: float) -> StableDiffusionXLPipeline:
    """Stable Diffusion XL."""
    tokenizer = clip_tokenizer()
    return StableDiffusionXLPipeline(
        vae=vae(4),
        text_encoder=clip_text(tokenizer),
        text_encoder_2=clip_text(tokenizer, CLIPTextModelWithProjection),
        tokenizer=tokenizer,
        tokenizer_2=clip_tokenizer(),
        unet=unet(
            cross_attention_dim=64,
            attention_head_dim=(2, 4),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            transformer_layers_per_block=(1, 1),
            projection_class_embeddings_input_dim=32 + 6 * 8,
        ),
        scheduler=EulerDiscreteScheduler(beta_schedule="scaled_linear", steps_offset=1),
    )


def sd3(_: float) -> StableDiffusion3Pipeline:
    """Stable Diffusion 3."""
    tokenizer, t5 = clip_tokenizer(), t5_tokenizer()
    return StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=8,
            patch_size=2,
            in_channels=16,
            out_channels=16,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=4,
            caption_projection_dim=32,
            joint_attention_dim=32,
            pooled_projection_dim=32,
            pos_embed_max_size=64,
        ),
        vae=vae(16),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        text_encoder=clip_text(tokenizer, CLIPTextModelWithProjection, 16),
        text_encoder_2=clip_text(tokenizer, CLIPTextModelWithProjection, 16),
        text_encoder_3=t5_text(t5),
        tokenizer=tokenizer,
        tokenizer_2=clip_tokenizer(),
        tokenizer_3=t5,
    )


def flux(_: float) -> FluxPipeline:
    """FLUX.1."""
    tokenizer, t5 = clip_tokenizer(), t5_tokenizer()
    return FluxPipeline(
        transformer=FluxTransformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            pooled_projection_dim=32,
            axes_dims_rope=[4, 4, 8],
            guidance_embeds=True,
        ),
        vae=vae(4),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        text_encoder=clip_text(tokenizer),
        text_encoder_2=t5_text(t5),
        tokenizer=tokenizer,
        tokenizer_2=t5,
    )


def qwen_image(_: float) -> QwenImagePipeline:
    """Qwen-Image."""
    tokenizer = qwen_tokenizer()
    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2}
    text |= {"num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": len(tokenizer)}
    text |= {"rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2]}}
    vision = {"depth": 2, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2}
    config = Qwen2_5_VLConfig(
        text_config=text, vision_config=vision | {"out_hidden_size": 16}, vocab_size=len(tokenizer)
    )
    return QwenImagePipeline(
        transformer=QwenImageTransformer2DModel(
            patch_size=2,
            in_channels=16,
            out_channels=4,
            num_layers=2,
            attention_head_dim=16,
            num_attention_heads=3,
            joint_attention_dim=16,
            axes_dims_rope=(8, 4, 4),
        ),
        vae=AutoencoderKLQwenImage(
            base_dim=24,
            z_dim=4,
            dim_mult=[1, 2, 4, 4],
            num_res_blocks=1,
            temperal_downsample=[False, True, True],
            latents_mean=[0.0] * 4,
            latents_std=[1.0] * 4,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        text_encoder=Qwen2_5_VLForConditionalGeneration(config),
        tokenizer=tokenizer,
    )


def z_image(_: float) -> ZImagePipeline:
    """Z-Image."""
    tokenizer = qwen_tokenizer()
    return ZImagePipeline(
        transformer=ZImageTransformer2DModel(
            all_patch_size=(2,),
            all_f_patch_size=(1,),
            in_channels=16,
            dim=32,
            n_layers=2,
            n_refiner_layers=1,
            n_heads=2,
            n_kv_heads=2,
            cap_feat_dim=16,
            axes_dims=[8, 4, 4],
            axes_lens=[256, 32, 32],
        ),
        vae=vae(16),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        text_encoder=Qwen3Model(
            Qwen3Config(
                vocab_size=len(tokenizer),
                hidden_size=16,
                intermediate_size=16,
                num_hidden_layers=2,
                num_attention_heads=2,
                num_key_value_heads=2,
                head_dim=8,
            )
        ),
        tokenizer=tokenizer,
    )


FAMILIES: dict[str, Callable[[float], Any]] = {
    "sd15": sd15,
    "sdxl": sdxl,
    "sd3": sd3,
    "flux": flux,
    "qwen-image": qwen_image,
    "z-image": z_image,
}


def extras(out: Path, pipe: StableDiffusionPipeline) -> None:
    """What goes with `sd15`: a ControlNet, two LoRA adapters and an IP-Adapter."""
    control = ControlNetModel.from_unet(pipe.unet, conditioning_embedding_out_channels=(4, 8, 8, 8))
    for block in (*control.controlnet_down_blocks, control.controlnet_mid_block):
        torch.nn.init.normal_(block.weight)  # they begin with zeros, which change nothing
    control.save_pretrained(out / "control-nets" / "edges")
    for name in ("ink", "gold"):
        lora(out / "loras" / name, pipe)
    ip_adapter(out / "ip-adapter", pipe)


def lora(folder: Path, pipe: StableDiffusionPipeline) -> None:
    """An adapter that changes pictures a good deal."""
    wanted = LoraConfig(r=4, target_modules=["to_q", "to_k", "to_v"], init_lora_weights=False)
    pipe.unet.add_adapter(wanted, adapter_name=folder.name)
    layers = pipe.unet.state_dict()
    named = {
        f"unet.{key.replace(f'.{folder.name}.', '.')}": 3 * value.contiguous()
        for key, value in layers.items()
        if f".{folder.name}." in key
    }
    pipe.unet.delete_adapters([folder.name])
    folder.mkdir(parents=True)
    save_file(named, folder / "pytorch_lora_weights.safetensors")


def ip_adapter(folder: Path, pipe: StableDiffusionPipeline) -> None:
    """An IP-Adapter and the encoder of pictures that it needs."""
    encoder = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=37,
            num_attention_heads=4,
            num_hidden_layers=2,
            image_size=32,
            patch_size=8,
            projection_dim=32,
        )
    )
    encoder.save_pretrained(folder / "image_encoder")
    weights = {
        "image_proj.proj.weight": torch.randn(4 * 32, 32),
        "image_proj.proj.bias": torch.zeros(4 * 32),
        "image_proj.norm.weight": torch.ones(32),
        "image_proj.norm.bias": torch.zeros(32),
    }
    for number, name in enumerate(pipe.unet.attn_processors):
        if "attn2" in name:
            width = pipe.unet.get_submodule(name.removesuffix(".processor")).to_k.weight.shape[0]
            for kind in ("to_k_ip", "to_v_ip"):
                weights[f"ip_adapter.{number}.{kind}.weight"] = torch.randn(width, 32)
    save_file(weights, folder / "ip-adapter.safetensors")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("families", nargs="*", default=list(FAMILIES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--judge", choices=("safe", "unsafe"), default="safe")
    parser.add_argument("--extras", action="store_true", help="also what goes with sd15")
    given = parser.parse_args()
    for name in given.families:
        torch.manual_seed(given.seed)
        pipe = FAMILIES[name](-9.0 if given.judge == "unsafe" else 9.0)
        pipe.save_pretrained(given.out / name, safe_serialization=True)
        if name == "sd15" and given.extras:
            extras(given.out, pipe)


if __name__ == "__main__":
    main()
