"""A builder's tool in ten lines: it copies weights, and ends badly where it is told to.

The environment's TOY is one of: oom, full, memory, dies, lies, silent, quits; or `waits:STAGE`,
which makes it wait in that stage until the file named in TOY_GO is there.
"""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

QUALITY = {
    "kl": 0.02,
    "perplexityBefore": 10.0,
    "perplexityAfter": 10.5,
    "agreement": 0.9,
    "windows": 2,
    "tokens": 256,
    "histogram": {"labels": ["<0.01", ">0.01"], "counts": [200, 56]},
    "losses": [[2.3, 2.31], [2.29, 2.4]],
}


def main() -> None:
    """Do the stages of the order."""
    order = json.loads(Path(sys.argv[1]).read_text())
    for stage in order["stages"]:
        _say({"stage": stage, "percent": 0})
        _misbehave(stage)
        if stage == "make":
            _make(order)
        else:
            Path(order["scratch"], "logits.npy").write_bytes(b"x" * 100)
            _say({"did": "measure", "quality": QUALITY})


def _make(order: dict[str, str]) -> None:
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(Path(order["source"], name), Path(order["making"], name))
    layer = Path(order["kept"], "layer")
    _say({"stage": "make", "percent": 60 if layer.exists() else 50})
    layer.write_text("solved")
    _misbehave("layer")
    sys.stdout.write("a word for people\n{not json\n")
    with Path(order["making"], "..", "calls").open("a") as calls:
        calls.write("make\n")
    _say({"did": "make", "tools": {"toy": "1"}, "device": "cpu", "devices": 0})


def _misbehave(stage: str) -> None:
    toy = os.environ.get("TOY", "")
    if toy == f"waits:{stage}":
        while not Path(os.environ["TOY_GO"]).exists():
            time.sleep(0.01)
    if toy == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if toy == "silent":
        sys.exit(3)
    if toy == "quits":
        sys.exit(0)
    if toy == "lies":
        _say({"failed": "CalibrationInvalid", "message": "too short", "hint": "give more"})
        sys.exit(1)
    if toy in LAST_WORDS:
        sys.exit(LAST_WORDS[toy])


LAST_WORDS = {
    "full": "OSError: [Errno 28] No space left on device",
    "memory": "RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory",
    "oom": "torch.OutOfMemoryError: CUDA out of memory.",
    "strange": "ValueError: The checkpoint does not recognize this architecture",
}


def _say(event: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
