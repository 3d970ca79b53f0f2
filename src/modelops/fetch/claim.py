"""Weights on a claim: looked at where they are, nothing is copied."""

import os
from collections.abc import Iterator
from pathlib import Path

from modelops.fetch.inspect import check_headers, check_indexes, check_sums
from modelops.registry.address import Record
from modelops.registry.failure import Failure
from modelops.registry.selection import Formats, RemoteCode, Selection, check_listed, select
from modelops.registry.sums import LONGEST_SUMS, SUMS, read_sums
from modelops.registry.uri import ClaimSource


def survey(
    source: ClaimSource, mount: Path, formats: Formats, remote_code: RemoteCode
) -> tuple[Path, Selection]:
    """Return the folder of a model on a mounted claim and its files, checked.

    The files carry the checksums of SHA256SUMS where there is one. Raises Failure.
    """
    folder = _folder(source, mount)
    sums = _sums(folder)
    records = list(_records(folder, mount))
    check_listed(sums, (record.path for record in records))
    selection = select(records, formats, remote_code).map(
        lambda record: record.summed(sums.get(record.path, ""))
    )
    check_indexes(folder, selection)
    check_headers(folder, selection.weights)
    check_sums(folder, (record for record in selection.records if record.verifiable))
    return folder, selection


def _folder(source: ClaimSource, mount: Path) -> Path:
    folder = mount / source.path
    if not folder.is_dir():
        what = "is a file" if folder.is_file() else "does not exist"
        raise _not_found(f"{source.path} {what} on the claim {source.claim}")
    if not folder.resolve().is_relative_to(mount.resolve()):
        raise _not_found(f"{source.path} leads out of the claim {source.claim}")
    return folder


def _records(folder: Path, mount: Path) -> Iterator[Record]:
    root = mount.resolve()
    for parent, folders, names in os.walk(folder):
        folders[:] = filter(_shown, folders)
        for name in filter(_shown, names):
            path = Path(parent) / name
            relative = path.relative_to(folder).as_posix()
            yield Record(relative, _size(path, root, relative))


def _shown(name: str) -> bool:
    return not name.startswith(".")


def _size(path: Path, root: Path, relative: str) -> int:
    """Return a file's bytes; one that is a link must lead to a file on the same claim."""
    target = path.resolve()
    if target.is_relative_to(root) and target.is_file():
        return target.stat().st_size
    raise Failure(
        "WeightsIncomplete",
        f"{relative} is a link to {path.readlink()}, which is not a file on the claim"
        if path.is_symlink()
        else f"{relative} is not a file",
        "copy the file itself to the claim, or remove it",
    )


def _sums(folder: Path) -> dict[str, str]:
    path = folder / SUMS
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        return read_sums(file.read(LONGEST_SUMS).decode(errors="replace"))


def _not_found(message: str) -> Failure:
    return Failure(
        "WeightsNotFound",
        message,
        "correct the path in spec.model.uri; it names a folder, from the root of the claim",
    )
