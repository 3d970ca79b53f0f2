"""Trains a small Llama on Python's own documentation: `python3 small_llama.py OUT [--seconds N]`.

It has 12 million parameters and stands in for a real model where figures of quality have to mean
something: unlike a random one, it knows what comes next. It reads the docstrings of the standard
library and the topics that builders calibrate on; what they measure with is held out.
"""

import argparse
import ast
import random
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from modelops.building.text import calibration_text

BATCH, LENGTH = 8, 256
VOCABULARY = 4096
END = "<|end|>"
RATE, WARM_STEPS = 1e-3, 20
LEFT_OUT = {"test", "tests", "idlelib", "lib2to3", "pydoc_data", "site-packages", "dist-packages"}


def texts() -> list[str]:
    """All that the model learns from, in a fixed order."""
    return [*calibration_text(), *dict.fromkeys(docstrings())]


def docstrings() -> Iterator[str]:
    """The docstrings of the standard library."""
    root = Path(sysconfig.get_path("stdlib"))
    for file in sorted(root.rglob("*.py")):
        if LEFT_OUT.isdisjoint(file.relative_to(root).parts):
            tree = ast.parse(file.read_bytes())
            documented = ast.Module, ast.ClassDef, ast.FunctionDef
            found = (ast.get_docstring(n) for n in ast.walk(tree) if isinstance(n, documented))
            yield from (text for text in found if text and len(text) > LENGTH // 4)


def tokenizer(learned: list[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of the text."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(learned, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token=END, bos_token=END)


def model() -> LlamaForCausalLM:
    """The model before it has learned."""
    return LlamaForCausalLM(
        LlamaConfig(
            hidden_size=384,
            intermediate_size=1024,
            num_hidden_layers=6,
            num_attention_heads=6,
            num_key_value_heads=6,
            head_dim=64,
            max_position_embeddings=1024,
            vocab_size=VOCABULARY,
            tie_word_embeddings=True,
            bos_token_id=0,
            eos_token_id=0,
        )
    )


def train(student: LlamaForCausalLM, tokens: torch.Tensor, seconds: float) -> tuple[int, float]:
    """Teach the model for so long; returns the steps and the last loss."""
    optimizer = torch.optim.AdamW(student.parameters(), weight_decay=0.1, betas=(0.9, 0.95))
    begin, step, loss = time.monotonic(), 0, torch.tensor(0.0)
    while (spent := (time.monotonic() - begin) / seconds) < 1:
        rate = RATE * min(1, (step + 1) / WARM_STEPS) * max(0.05, 1 - spent)
        for group in optimizer.param_groups:
            group["lr"] = rate
        starts = [random.randrange(len(tokens) - LENGTH) for _ in range(BATCH)]  # noqa: S311
        batch = torch.stack([tokens[start : start + LENGTH] for start in starts])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = student(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        if step % 20 == 0:
            sys.stderr.write(f"step {step}, {spent:.0%}, loss {loss.item():.3f}\n")
    return step, loss.item()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="the folder to write the model into")
    parser.add_argument("--seconds", type=float, default=600, help="how long it learns")
    options = parser.parse_args()
    torch.manual_seed(0)
    random.seed(0)
    learned = texts()
    words = tokenizer(learned)
    ids = [token for text in learned for token in [*words(text)["input_ids"], 0]]
    student = model()
    steps, loss = train(student, torch.tensor(ids), options.seconds)
    student.to(torch.bfloat16).save_pretrained(options.out)
    words.save_pretrained(options.out)
    count = sum(each.numel() for each in student.parameters())
    sys.stdout.write(f"{count} parameters, {len(ids)} tokens, {steps} steps, loss {loss:.3f}\n")


if __name__ == "__main__":
    main()
