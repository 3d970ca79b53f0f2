"""Makes a tiny random Llama that vLLM serves: `python3 tiny_llama.py OUT [--seed N]`.

It stands in for a real model wherever the answer's text does not matter: the same seed gives the
same bytes, so two runs have the same digest, and another seed gives another model of equal shape.
"""

import argparse
import json
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

HIDDEN = 256
HEAD_DIM = 64
QUERY_HEADS = HIDDEN // HEAD_DIM
KEY_VALUE_HEADS = 2
INTERMEDIATE = 512
LAYERS = 2
CONTEXT = 2048
VOCABULARY = 512
SPECIAL = ("<|pad|>", "<|begin|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
PAD, BEGIN, END = range(3)

CHAT_TEMPLATE = (
    "{{ '<|begin|>' }}"
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

CORPUS = """\
A model is served by an engine, and an engine is a process in a pod of the cluster.
The user says what to serve in ten lines; the platform does what people now do by hand.
It fetches the weights, verifies each file, fits the model to the machine and starts the engine.
When requests wait in the queue, it adds replicas; when nobody asks, it goes to zero and comes back.
Say hello to the world: hello, how are you today? I am fine, thank you, and what about you?
One, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, thirteen, fourteen.
The quick brown fox jumps over the lazy dog, and the dog sleeps through the whole story.
Once upon a time there was a small server that answered every question with the same good cheer.
What is the capital of a country? Where does the river end? Who wrote the book on the table?
Please write a short poem about the sea, the wind, the stars and the ship that came home.
"""


def config() -> dict[str, object]:
    """The model's `config.json`."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "head_dim": HEAD_DIM,
        "num_attention_heads": QUERY_HEADS,
        "num_key_value_heads": KEY_VALUE_HEADS,
        "intermediate_size": INTERMEDIATE,
        "num_hidden_layers": LAYERS,
        "max_position_embeddings": CONTEXT,
        "vocab_size": VOCABULARY,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "torch_dtype": "float16",
        "pad_token_id": PAD,
        "bos_token_id": BEGIN,
        "eos_token_id": END,
    }


def shapes() -> dict[str, tuple[int, ...]]:
    """The shape of each tensor by its name in the checkpoint; vectors are norms."""
    layer = {
        "input_layernorm": (HIDDEN,),
        "post_attention_layernorm": (HIDDEN,),
        "self_attn.q_proj": (QUERY_HEADS * HEAD_DIM, HIDDEN),
        "self_attn.k_proj": (KEY_VALUE_HEADS * HEAD_DIM, HIDDEN),
        "self_attn.v_proj": (KEY_VALUE_HEADS * HEAD_DIM, HIDDEN),
        "self_attn.o_proj": (HIDDEN, QUERY_HEADS * HEAD_DIM),
        "mlp.gate_proj": (INTERMEDIATE, HIDDEN),
        "mlp.up_proj": (INTERMEDIATE, HIDDEN),
        "mlp.down_proj": (HIDDEN, INTERMEDIATE),
    }
    layers = {
        f"model.layers.{index}.{name}.weight": shape
        for index in range(LAYERS)
        for name, shape in layer.items()
    }
    return {
        "model.embed_tokens.weight": (VOCABULARY, HIDDEN),
        "model.norm.weight": (HIDDEN,),
    } | layers


def weights(seed: int) -> dict[str, NDArray[np.float16]]:
    """The tensors by name: norms of one, matrices drawn from a normal distribution."""
    random = np.random.default_rng(seed)
    return {
        name: (np.ones(shape) if len(shape) == 1 else random.normal(0, 0.08, shape)).astype("<f2")
        for name, shape in shapes().items()
    }


def tokenizer() -> Tokenizer:
    """A byte-level BPE tokenizer trained on the text above, so that any text round-trips."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(CORPUS.splitlines(), trainer)
    return made


def tokenizer_config() -> dict[str, object]:
    """The tokenizer's `tokenizer_config.json`, with the chat template."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": CONTEXT,
        "pad_token": SPECIAL[PAD],
        "bos_token": SPECIAL[BEGIN],
        "eos_token": SPECIAL[END],
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }


def write(out: Path, seed: int) -> None:
    """Writes the model into the folder `out`, made if it is missing."""
    out.mkdir(parents=True, exist_ok=True)
    documents = {
        "config.json": config(),
        "tokenizer_config.json": tokenizer_config(),
        "generation_config.json": {"bos_token_id": BEGIN, "eos_token_id": END, "pad_token_id": PAD},
    }
    for name, document in documents.items():
        (out / name).write_text(json.dumps(document, indent=2) + "\n")
    tokenizer().save(str(out / "tokenizer.json"))
    (out / "model.safetensors").write_bytes(save(weights(seed), {"format": "pt"}))
    (out / "SHA256SUMS").write_text(sums(out))


def sums(folder: Path) -> str:
    """The checksums of the folder's files, as `sha256sum` writes and modelops verifies them."""
    files = sorted(file for file in folder.iterdir() if file.name != "SHA256SUMS")
    return "".join(f"{sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="the folder to write the model into")
    parser.add_argument("--seed", type=int, default=0, help="which model: each seed is another")
    arguments = parser.parse_args()
    write(arguments.out, arguments.seed)


if __name__ == "__main__":
    main()
