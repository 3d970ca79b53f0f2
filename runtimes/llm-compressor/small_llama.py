"""Trains a small Llama on Python's own documentation: `python3 small_llama.py OUT [--steps N]`.

It has 12 million parameters and stands in for a real model where figures of quality have to mean
something: unlike a random one, it knows what comes next. It reads the docstrings of the standard
library and the topics that builders calibrate on; what they measure with is held out. A run that is
killed goes on from OUT.checkpoint.
"""

import argparse
import ast
import math
import random
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from modelops.building.text import calibration_text

BATCH, LENGTH = 2, 256
VOCABULARY = 4096
END = "<|end|>"
RATE, WARM_STEPS = 1.5e-3, 40
STEPS_KEPT = 20
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


def train(student: LlamaForCausalLM, tokens: torch.Tensor, steps: int, kept: Path) -> float:
    """Teach the model, from where an earlier run was killed; returns the last loss."""
    optimizer = torch.optim.AdamW(student.parameters(), weight_decay=0.1, betas=(0.9, 0.95))
    done, loss = _resumed(student, optimizer, kept), torch.tensor(math.nan)
    for step in range(done, steps):
        rate = RATE * min(1, (step + 1) / WARM_STEPS) * max(0.05, 1 - step / steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = _step(student, optimizer, _batch(tokens, step))
        if (step + 1) % STEPS_KEPT == 0:
            sys.stderr.write(f"step {step + 1} of {steps}, loss {loss.item():.3f}\n")
            _keep(student, optimizer, step + 1, kept)
    return loss.item()


def _batch(tokens: torch.Tensor, step: int) -> torch.Tensor:
    """The samples of a step, which are the same in every run."""
    dice = random.Random(step)  # noqa: S311  no secret
    starts = [dice.randrange(len(tokens) - LENGTH) for _ in range(BATCH)]
    return torch.stack([tokens[start : start + LENGTH] for start in starts])


def _step(
    student: LlamaForCausalLM, optimizer: torch.optim.Optimizer, batch: torch.Tensor
) -> torch.Tensor:
    loss = student(input_ids=batch, labels=batch).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return loss.detach()


def _keep(
    student: LlamaForCausalLM, optimizer: torch.optim.Optimizer, step: int, kept: Path
) -> None:
    """Write down how far it is; a run that is killed meanwhile leaves what there was."""
    new = kept.with_suffix(".new")
    state = {"step": step, "model": student.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(state, new)
    new.replace(kept)


def _resumed(student: LlamaForCausalLM, optimizer: torch.optim.Optimizer, kept: Path) -> int:
    """Take up what an earlier run wrote down; returns the steps that it did."""
    if not kept.exists():
        return 0
    state = torch.load(kept, weights_only=True)
    student.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="the folder to write the model into")
    parser.add_argument("--steps", type=int, default=600, help="how much it learns")
    options = parser.parse_args()
    torch.manual_seed(0)
    learned = texts()
    words = tokenizer(learned)
    ids = [token for text in learned for token in [*words(text)["input_ids"], 0]]
    student, kept = model(), options.out.with_suffix(".checkpoint")
    loss = train(student, torch.tensor(ids), options.steps, kept)
    words.save_pretrained(options.out)
    student.to(torch.bfloat16).save_pretrained(options.out)
    count = sum(each.numel() for each in student.parameters())
    sys.stdout.write(f"{count} parameters, {len(ids)} tokens, loss {loss:.3f}\n")


if __name__ == "__main__":
    main()
