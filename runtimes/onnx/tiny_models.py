"""Makes tiny random models with transformers: `python3 tiny_models.py OUT`, a folder for each."""

import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    BertConfig,
    BertModel,
    PreTrainedTokenizerFast,
    ViTConfig,
    ViTForImageClassification,
    YolosConfig,
    YolosForObjectDetection,
)

from modelops.building.text import calibration_text

SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
}
WORDS = 512
UNKNOWN, PADDING = "[UNK]", "[PAD]"


def tokenizer() -> PreTrainedTokenizerFast:
    """Words and their pieces, learnt from the text that comes with every builder."""
    held = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    held.pre_tokenizer = pre_tokenizers.Whitespace()
    special = [PADDING, UNKNOWN, "[CLS]", "[SEP]"]
    held.train_from_iterator(
        calibration_text(), trainers.WordPieceTrainer(vocab_size=WORDS, special_tokens=special)
    )
    return PreTrainedTokenizerFast(tokenizer_object=held, unk_token=UNKNOWN, pad_token=PADDING)


def main() -> None:
    """The command line."""
    out = Path(sys.argv[1])
    torch.manual_seed(0)
    tokenizer().save_pretrained(out / "bert")
    BertModel(BertConfig(vocab_size=WORDS, **SHAPE)).save_pretrained(out / "bert")
    vit = ViTConfig(image_size=32, patch_size=8, num_labels=10, **SHAPE)
    ViTForImageClassification(vit).save_pretrained(out / "vit")
    yolos = YolosConfig(
        image_size=[64, 96], patch_size=16, num_detection_tokens=10, num_labels=5, **SHAPE
    )
    YolosForObjectDetection(yolos).save_pretrained(out / "yolos")


if __name__ == "__main__":
    main()
