"""Which weights of a diffusers pipeline are read: its repository holds most twice (pure)."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from modelops.registry.address import Record

INDEX: Final = "model_index.json"
"""The file that makes a folder a pipeline."""

ADAPTERS: Final = frozenset({"loras", "control-nets", "ip-adapter"})
"""Folders beside the pipeline's own, of which every file has a name of its own."""

PREFERRED: Final = ("fp16", "bf16")
"""Where a part has no full weights, these variants come before others."""

_STANDARD: Final = re.compile(
    r"(?:diffusion_pytorch_model|pytorch_model|model)(?:\.(?P<variant>[^./-]+))?"
    r"(?:-\d+-of-\d+)?(?:\.(?P<late>[^./]+))?\.(?:safetensors|bin)"
)
"""What diffusers and transformers call weights; shards had their variant behind the number once."""

_INDEX_OF_VARIANT: Final = re.compile(r".*\.index\.[^./]+\.json")


def read(weights: Sequence[Record], paths: Iterable[str]) -> list[Record]:
    """Return the weights that are read of a pipeline with files at these paths.

    Left out are checkpoints of the whole in one file, folders that are no part since they have no
    config.json, and of each part all but one variant: the full one if it is there. All are read
    where no part would be left.
    """
    configured = {folder(p) for p in paths if p.endswith("/config.json")}
    found = [
        record
        for place, inside in _by_folder(weights).items()
        for record in _read(place, inside, configured)
    ]
    return found or list(weights)


def is_index_of_variant(path: str) -> bool:
    """Tell whether a file lists the shards of a variant."""
    return bool(_INDEX_OF_VARIANT.fullmatch(path))


def folder(path: str) -> str:
    """Return the folder that a file is in, with a slash behind; empty at the top."""
    return path[: path.rfind("/") + 1]


def _by_folder(weights: Iterable[Record]) -> Mapping[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in weights:
        found.setdefault(folder(record.path), []).append(record)
    return found


def _read(place: str, inside: list[Record], configured: set[str]) -> Iterator[Record]:
    if place in configured:
        yield from _variant(place, inside)
    elif place.partition("/")[0] in ADAPTERS:
        yield from inside


def _variant(place: str, inside: list[Record]) -> list[Record]:
    """Return one variant of a part; all where none has a name that is looked for."""
    found: dict[str, list[Record]] = {}
    for record in inside:
        name = _STANDARD.fullmatch(record.path.removeprefix(place))
        if name:
            found.setdefault(name["variant"] or name["late"] or "", []).append(record)
    first = next((v for v in ("", *PREFERRED, *sorted(found)) if v in found), None)
    return inside if first is None else found[first]
