"""llama.cpp's own conversion to GGUF: `python3 convert.py SOURCE OUT`.

It knows tokenizers by a checksum of what they make of a sentence, so it refuses one that was
trained anew. One that splits text as GPT-2's does is told to llama.cpp as such.
"""

import json
import runpy
import sys
from pathlib import Path
from typing import Any

ROOT = Path("/opt/llama/root/usr")
SCRIPT = ROOT / "share/doc/llama.cpp-tools/scripts/convert_hf_to_gguf.py"


def splits_as_gpt2(tokenizer: dict[str, Any]) -> bool:
    """Tell whether a tokenizer.json splits text as GPT-2's does."""
    split = tokenizer.get("pre_tokenizer") or {}
    return split.get("type") == "ByteLevel" and split.get("use_regex", True)


def main() -> None:
    """Convert, in the precision that the source has."""
    source, out = sys.argv[1:]
    sys.path[:0] = [
        str(ROOT / "share/llama.cpp/llama.cpp-tools"),
        str(ROOT / "lib/python3/dist-packages"),
    ]
    from conversion import base  # noqa: PLC0415  only where llama.cpp is

    known = base.TextModel.get_vocab_base_pre
    document = Path(source, "tokenizer.json")

    def name(model: Any, tokenizer: Any) -> str:
        try:
            return str(known(model, tokenizer))
        except NotImplementedError:
            if document.is_file() and splits_as_gpt2(json.loads(document.read_text())):
                return "gpt-2"
            raise

    base.TextModel.get_vocab_base_pre = name
    sys.argv = [str(SCRIPT), source, f"--outfile={out}", "--outtype=auto"]
    runpy.run_path(str(SCRIPT), run_name="__main__")


if __name__ == "__main__":
    main()
