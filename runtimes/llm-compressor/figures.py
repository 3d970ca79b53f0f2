"""Builds a model by every method and prints what came of it, as a Markdown table.

Usage: `python3 figures.py MODEL OUT [--schemes METHOD:SCHEME...]`, in an environment that has the
image's packages and modelops. Seconds are those of the processor, which other work on the machine
does not change much; the last line is a build's over those of its bare tool with the same order.
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from modelops.builders.tools import BUILDERS

TOOL = Path(__file__).with_name("tool.py")
CALIBRATION = {"samples": 64, "sequenceLength": 256}
HEAD = "| method | scheme | size | KL, nats | perplexity | agreement | CPU s | vLLM on CPU |"


def known() -> list[str]:
    """Every method with each of its schemes."""
    methods = BUILDERS["llm-compressor"].methods.values()
    return [f"{method.name}:{scheme.name}" for method in methods for scheme in method.schemes]


def cpu_seconds(*command: str | Path) -> float:
    """The processor's seconds that a command took with its children; it must succeed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def build(model: Path, out: Path, scheme: str) -> tuple[dict[str, Any], float]:
    """The last words of a build and the processor's seconds that it took."""
    method, _, name = scheme.partition(":")
    recipe = {
        "source": {"uri": "pvc://models/small", "digest": "small"},
        "builder": "llm-compressor",
        "builderImage": "llm-compressor@sha256:0",
        "method": method,
        "options": {"scheme": name, "calibration": CALIBRATION},
    }
    out.mkdir(parents=True, exist_ok=True)
    file, words = out / "recipe.json", out / "last-words"
    file.write_text(json.dumps(recipe))
    words.touch()
    spent = cpu_seconds(
        "-m", "modelops.building.main", f"--recipe={file}", f"--source={model}",
        f"--out={out / 'artifacts'}", f"--tool={TOOL}", f"--last-words={words}",
    )  # fmt: skip
    return json.loads(words.read_text()), spent


def row(scheme: str, said: dict[str, Any], spent: float) -> str:
    """One line of the table."""
    method, _, name = scheme.partition(":")
    quality = said["quality"]
    schemes = BUILDERS["llm-compressor"].methods[method].schemes
    served = "cpu" in next(each for each in schemes if each.name == name).served_on
    cells = (
        method,
        name,
        f"{said['bytesAfter'] / said['bytesBefore']:.2f}",
        f"{quality['kl']:.5f}",
        f"{quality['perplexityAfter']:.3f}",
        f"{quality['agreement']:.1%}",
        f"{spent:.0f}",
        "yes" if served else "no",
    )
    return f"| {' | '.join(cells)} |"


def bare(model: Path, out: Path, said: dict[str, Any]) -> float:
    """The processor's seconds of the tool alone, with the order that the artifact was built by."""
    manifest = json.loads((out / "artifacts" / said["digest"] / "artifact.json").read_text())
    places = {name: out / "bare" / name for name in ("making", "scratch")}
    for place in places.values():
        place.mkdir(parents=True, exist_ok=True)
    order = {
        "recipe": manifest["recipe"],
        "source": str(model),
        "made": str(places["making"]),
        "calibration": None,
        "stages": ["make", "measure"],
    } | {name: str(place) for name, place in places.items()}
    file = out / "order.json"
    file.write_text(json.dumps(order))
    return cpu_seconds(TOOL, file)


def say(text: str) -> None:
    """Print it now."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="the folder of the model to build from")
    parser.add_argument("out", type=Path, help="the folder to build in")
    parser.add_argument("--schemes", nargs="*", choices=known(), default=known())
    options = parser.parse_args()
    say(f"{HEAD}\n|{'---|' * (HEAD.count('|') - 1)}")
    for scheme in options.schemes:
        said, spent = build(options.model, options.out, scheme)
        say(row(scheme, said, spent))
    before = said["quality"]["perplexityBefore"]
    ratio = spent / bare(options.model, options.out, said)
    say(f"\nPerplexity of the base: {before:.3f}. Build over bare tool: {ratio:.3f}.")


if __name__ == "__main__":
    main()
