"""Looks at a model from afar: small files, and the headers of its weights; nothing else."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelops.fetch.folder import FolderStore
from modelops.fetch.store import Patience, Store, Unreachable
from modelops.registry.address import Record, check_paths
from modelops.registry.configuration import LONGEST_CONFIGURATION
from modelops.registry.failure import Failure
from modelops.registry.safetensors import PREFIX_BYTES, check_header, header_length
from modelops.registry.selection import check_index, select
from modelops.registry.tensors import LONGEST_HEADER, Tensor, read_tensors

_INDEX: Final = "model.safetensors.index.json"
_READ: Final[tuple[str, ...]] = ("config.json", "tokenizer_config.json", _INDEX)
_FIRST_BYTES: Final = 64 * 1024
"""Of a file of weights, this much is asked for at once: most headers are shorter."""
_AT_ONCE: Final = 8
_LONGEST_HEADERS: Final = 8 * LONGEST_HEADER


@dataclass(frozen=True, slots=True)
class Survey:
    """What was seen: paths of all files, the small documents by name, tensors of the weights."""

    paths: tuple[str, ...]
    documents: Mapping[str, bytes]
    tensors: tuple[Tensor, ...]
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the beginnings of files, again when the source does not answer."""

    store: Store
    patience: Patience

    def start(self, record: Record, count: int) -> bytes:
        """Return the first ``count`` bytes of a file, fewer when it has no more."""
        from modelops.fetch.transfer import patiently  # noqa: PLC0415 - slow to load

        return patiently(self.patience, lambda: self._start(record, min(count, record.size)))

    def _start(self, record: Record, count: int) -> bytes:
        held = bytearray()
        for chunk in self.store.read(record, 0, count):
            held += chunk
            if len(held) >= count:
                return bytes(held[:count])
        if len(held) < count:
            raise Unreachable(f"the source sends only {len(held)} of {count} bytes of a file")
        return bytes(held)

    def document(self, record: Record) -> bytes:
        """Return a whole small file. Raises Failure when it is not small."""
        if record.size > LONGEST_CONFIGURATION:
            raise _hostile(record, f"it has {record.size} bytes, {LONGEST_CONFIGURATION} are read")
        return self.start(record, record.size)

    def header(self, record: Record) -> tuple[int, bytes]:
        """Return the length of a header, and the first bytes of the file."""
        start = self.start(record, _FIRST_BYTES)
        try:
            length = header_length(start[:PREFIX_BYTES], record.size)
        except ValueError as error:
            raise _hostile(record, str(error)) from error
        if length > LONGEST_HEADER:
            told = f"its header has {length} bytes, at most {LONGEST_HEADER} are read"
            raise _hostile(record, told)
        return length, start

    def tensors(self, record: Record, length: int, start: bytes) -> tuple[Tensor, ...]:
        """Return what the header tells."""
        end = PREFIX_BYTES + length
        whole = start if end <= len(start) else self.start(record, end)
        header = whole[PREFIX_BYTES:end]
        try:
            check_header(header, record.size)
            return read_tensors(header)
        except ValueError as error:
            raise _hostile(record, str(error)) from error


def survey(store: Store, patience: Patience) -> Survey:
    """Look at a source. Raises Failure when it cannot be read, or its files cannot be."""
    from modelops.fetch.transfer import patiently  # noqa: PLC0415 - slow to load

    listing = patiently(patience, store.listing)
    check_paths(listing.records)
    records = {record.path: record for record in listing.records}
    reader = _Reader(store, patience)
    documents = {name: reader.document(records[name]) for name in _READ if name in records}
    weights = _weights(listing.records, documents)
    return Survey(tuple(sorted(records)), documents, _tensors(reader, weights), listing.revision)


def survey_file(file: Path) -> Survey:
    """Look at one safetensors file. Raises Failure when it is none."""
    if not file.is_file():
        told = f"there is no file {file}"
        raise Failure("WeightsNotFound", told, "name a safetensors file after --weights")
    record = Record(file.name, file.stat().st_size)
    reader = _Reader(FolderStore(file.parent), Patience())
    return Survey((file.name,), {}, _tensors(reader, [record]))


def _weights(records: Sequence[Record], documents: Mapping[str, bytes]) -> Sequence[Record]:
    """Return the safetensors files of the model, all that should be there; none is no fault."""
    if not any(record.path.endswith(".safetensors") for record in records):
        return ()
    chosen = select(records).weights
    if _INDEX in documents:
        check_index(_INDEX, documents[_INDEX], [record.path for record in chosen])
    return chosen


def _tensors(reader: _Reader, weights: Sequence[Record]) -> tuple[Tensor, ...]:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        heads = list(pool.map(reader.header, weights))
        if sum(length for length, _ in heads) > _LONGEST_HEADERS:
            told = f"the headers of its files have more than {_LONGEST_HEADERS} bytes together"
            raise _hostile(weights[0], told)
        lengths, starts = [length for length, _ in heads], [start for _, start in heads]
        found = pool.map(reader.tensors, weights, lengths, starts)
        return tuple(tensor for each in found for tensor in each)


def _hostile(record: Record, fault: str) -> Failure:
    return Failure(
        "WeightsCorrupt",
        f"{record.path} cannot be looked into: {fault}",
        "do not serve this file; if it is yours, save it anew with the safetensors library",
    )
