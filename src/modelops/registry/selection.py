"""Which files of a source a model is made of."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from modelops.registry import pipeline
from modelops.registry.address import Record
from modelops.registry.failure import Failure
from modelops.registry.sums import SUMS

Formats = Literal["SafetensorsOnly", "AllowPickle"]
RemoteCode = Literal["Deny", "Allow"]

ARTIFACT: Final = "artifact.json"
"""Name of the file that says of a snapshot what it is; a source's own is left out."""

_SAFE: Final = ".safetensors"
_GGUF: Final = ".gguf"
_PICKLE: Final = (".bin", ".pt", ".pth", ".ckpt")
_BESIDE: Final = (".json", ".txt", ".model", ".jinja", ".tiktoken")
_TRAINING: Final = re.compile(r"(training_args|optimizer|scheduler|rng_state)[^/]*$")
_SHARD: Final = re.compile(r"(?P<stem>.+)-\d+-of-(?P<count>\d+)(?P<suffix>\.[a-z]+)$")
_LEFT_OUT: Final = frozenset({"original"})


@dataclass(frozen=True, slots=True)
class Selection:
    """The files of a model: ``beside`` is what is small and read first, ``weights`` the rest."""

    weights: tuple[Record, ...]
    beside: tuple[Record, ...]

    @property
    def records(self) -> tuple[Record, ...]:
        """All files, by path."""
        return tuple(sorted((*self.weights, *self.beside)))

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(record.size for record in self.records)

    @property
    def indexes(self) -> tuple[Record, ...]:
        """The files that say which shards there are."""
        return tuple(r for r in self.beside if r.path.endswith(".index.json"))

    @property
    def unverified(self) -> int:
        """Number of files whose bytes cannot be held against a checksum."""
        return sum(not record.verifiable for record in self.records)

    def map(self, change: Callable[[Record], Record]) -> "Selection":
        """Return the selection with each record changed."""
        return Selection(tuple(map(change, self.weights)), tuple(map(change, self.beside)))


def select(
    records: Iterable[Record],
    formats: Formats = "SafetensorsOnly",
    remote_code: RemoteCode = "Deny",
) -> Selection:
    """Return the files to serve: weights, configuration, tokenizer; and code where allowed.

    Of a diffusers pipeline only the weights that are read.
    Raises Failure: WeightsUnsafe when all weights are pickled, WeightsIncomplete when there are
    none or a numbered shard is missing.
    """
    shown = [record for record in records if _shown(record.path)]
    weights = _weights(shown, formats)
    if any(record.path == pipeline.INDEX for record in shown):
        weights = pipeline.read(weights, [record.path for record in shown])
    check_shards(record.path for record in weights)
    suffixes = (*_BESIDE, ".py") if remote_code == "Allow" else _BESIDE
    beside = [r for r in shown if r.path.endswith(suffixes) and _belongs(r.path, weights)]
    return Selection(tuple(sorted(weights)), tuple(sorted(beside)))


def check_shards(paths: Iterable[str]) -> None:
    """Check that of files named X-i-of-N there are N.

    Raises Failure (WeightsIncomplete).
    """
    found: dict[tuple[str, str, str], int] = defaultdict(int)
    for path in paths:
        shard = _SHARD.match(path)
        if shard:
            found[shard["stem"], shard["count"], shard["suffix"]] += 1
    for (stem, count, suffix), number in found.items():
        if number < int(count):
            raise _incomplete(f"only {number} of the {int(count)} files {stem}-*{suffix} exist")


def check_index(index: str, text: str | bytes, paths: Iterable[str]) -> None:
    """Check that all files which the index at path ``index`` names are among ``paths``.

    Raises Failure (WeightsIncomplete).
    """
    folder = _folder(index)
    try:
        named = {folder + name for name in json.loads(text)["weight_map"].values()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _incomplete(f"{index} is not an index of weights") from error
    missing = sorted(named.difference(paths))
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise _incomplete(f"{index} names {missing[0]}{more}, which the source does not have")


def check_listed(sums: Iterable[str], paths: Iterable[str]) -> None:
    """Check that all weights which an author's list of checksums names are among ``paths``.

    Raises Failure (WeightsIncomplete).
    """
    missing = {path for path in sums if path.endswith(_SAFE)}.difference(paths)
    if missing:
        raise _incomplete(f"{SUMS} names {min(missing)}, which the source does not have")


def _shown(path: str) -> bool:
    parts = path.split("/")
    hidden = any(part.startswith(".") for part in parts)
    return not hidden and parts[0] not in _LEFT_OUT and path != ARTIFACT


def _weights(shown: Sequence[Record], formats: Formats) -> list[Record]:
    safe = [record for record in shown if record.path.endswith(_SAFE)]
    pickled = [record for record in shown if _is_pickled(record.path)]
    if not safe and (gguf := [record for record in shown if record.path.endswith(_GGUF)]):
        return _one_gguf(gguf)
    if not safe and not pickled:
        raise _incomplete("the source holds no weights in the formats safetensors and GGUF")
    if not safe and formats == "SafetensorsOnly":
        raise Failure(
            "WeightsUnsafe",
            f"all weights are pickled ({pickled[0].path}), and loading a pickle can run any code",
            "convert them with the hub's safetensors conversion or `save_pretrained`, or set "
            "spec.model.formats to AllowPickle if you trust the source",
        )
    return _without_duplicates(safe or pickled)


def _one_gguf(files: list[Record]) -> list[Record]:
    """Return the files of the one model there is: a source often holds it in many precisions."""
    stems = {found["stem"] if (found := _SHARD.match(r.path)) else r.path for r in files}
    if len(stems) > 1:
        raise Failure(
            "WeightsAmbiguous",
            f"the source holds {len(stems)} models in GGUF, such as {min(stems)}",
            "give a source with exactly one of them",
        )
    return files


def _is_pickled(path: str) -> bool:
    return path.endswith(_PICKLE) and not _TRAINING.search(path)


def _without_duplicates(weights: list[Record]) -> list[Record]:
    """Drop the consolidated copy of weights where the sharded ones lie beside it."""
    folders = {_folder(r.path) for r in weights if not _is_consolidated(r.path)}
    return [r for r in weights if not _is_consolidated(r.path) or _folder(r.path) not in folders]


def _is_consolidated(path: str) -> bool:
    return path.removeprefix(_folder(path)).startswith("consolidated")


def _folder(path: str) -> str:
    return path[: path.rfind("/") + 1]


def _belongs(path: str, weights: Sequence[Record]) -> bool:
    """Tell whether a file is of use; an index is only beside the kind of weights it names."""
    if not path.endswith(".index.json"):
        return not pipeline.is_index_of_variant(path)
    stem = path.removesuffix(".index.json")
    prefix, dot, suffix = stem.rpartition(".")
    return any(r.path.startswith(prefix) and r.path.endswith(dot + suffix) for r in weights)


def _incomplete(message: str) -> Failure:
    return Failure(
        "WeightsIncomplete",
        message,
        "upload the missing files to the source, or correct spec.model.uri",
    )
