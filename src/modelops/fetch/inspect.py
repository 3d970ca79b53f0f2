"""Looks into files that lie on disk: headers of safetensors, indexes, checksums."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from modelops.fetch.checksum import Check
from modelops.registry.address import Record
from modelops.registry.failure import Failure
from modelops.registry.safetensors import PREFIX_BYTES, check_header, header_length
from modelops.registry.selection import Selection, check_index

_BLOCK: Final = 1024 * 1024
_AT_ONCE: Final = 4


def check_indexes(folder: Path, selection: Selection) -> None:
    """Check that the source has every shard which an index in the folder names.

    Raises Failure (WeightsIncomplete).
    """
    paths = [record.path for record in selection.weights]
    for index in selection.indexes:
        check_index(index.path, (folder / index.path).read_bytes(), paths)


def check_headers(folder: Path, weights: Iterable[Record]) -> None:
    """Check that each safetensors file is as long as its own header says.

    Raises Failure (WeightsCorrupt).
    """
    for record in weights:
        if record.path.endswith(".safetensors"):
            try:
                _check_header(folder / record.path, record.size)
            except ValueError as error:
                raise _corrupt(f"{record.path} is damaged: {error}") from error


def check_sums(folder: Path, records: Iterable[Record]) -> None:
    """Check each file's bytes against its record, several at once.

    Raises Failure (WeightsCorrupt).
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(lambda record: _check_sum(folder, record), records):
            pass


def _check_header(path: Path, size: int) -> None:
    with path.open("rb") as file:
        length = header_length(file.read(PREFIX_BYTES), size)
        check_header(file.read(length), size)


def _check_sum(folder: Path, record: Record) -> None:
    check = Check(record)
    with (folder / record.path).open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            check.update(block)
    if not check.holds:
        raise _corrupt(f"{record.path} is not what SHA256SUMS says")


def _corrupt(message: str) -> Failure:
    return Failure("WeightsCorrupt", message, "upload the file to the source anew")
