"""Serves the GGUF file of a folder: `python3 serve.py FOLDER [ARGUMENT...]` becomes llama-server.

Of a model in several files llama-server is given the first. Exits with 64 where the folder holds
none, or several models.
"""

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

SERVER = "/opt/llama/bin/llama-server"
SHARD = re.compile(r"-(?P<number>\d{5})-of-\d{5}\.gguf$")


def first(files: Iterable[str]) -> str:
    """The file to begin with. Raises ValueError."""
    shards = {name: SHARD.search(name) for name in sorted(files)}
    heads = [name for name, found in shards.items() if not found or int(found["number"]) == 1]
    if len(heads) == 1:
        return heads[0]
    said = f"{len(heads)} models: {', '.join(heads)}" if heads else "no GGUF file"
    raise ValueError(f"the weights hold {said}; give the source exactly one model in GGUF")


def words(arguments: Iterable[str]) -> list[str]:
    """The arguments as llama-server takes them: `--name=value` in two words."""
    return [
        word
        for given in arguments
        for word in (given.split("=", 1) if given.startswith("--") else (given,))
    ]


def main() -> None:
    """Become the server."""
    folder = Path(sys.argv[1])
    try:
        model = first(path.relative_to(folder).as_posix() for path in folder.rglob("*.gguf"))
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(64)
    os.execv(SERVER, [SERVER, "--model", str(folder / model), *words(sys.argv[2:])])  # noqa: S606


if __name__ == "__main__":
    main()
