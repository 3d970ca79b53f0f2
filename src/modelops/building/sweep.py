"""Removes artifacts that nothing refers to: `python3 -m modelops.building.sweep`, in a pod."""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from modelops.building.store import MANIFEST, Store, size
from modelops.durable import PARTIAL

_SHORTEST: Final = 32
"""Digits of a digest; what is called otherwise is none of ours."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What goes: all but ``keep`` (digests) that is older than so many seconds."""

    keep: Collection[str]
    older_than_seconds: float
    dry_run: bool = True


def sweep(store: Store, rule: Rule, now: float) -> Iterator[dict[str, Any]]:
    """Yield what was found of each artifact that goes, having removed it unless it is a dry run.

    What another process is at work on stays.
    """
    for folder in sorted(store.root.iterdir()):
        address = folder.name.removesuffix(PARTIAL)
        if not _is_digest(address) or address in rule.keep or not folder.is_dir():
            continue
        age = now - _born(folder)
        if age < rule.older_than_seconds:
            continue
        told = {"artifact": folder.name, "bytes": size(folder), "ageSeconds": int(age)}
        yield told | {"removed": not rule.dry_run and _remove(store, folder, address)}


def main() -> None:
    """Sweep as the command line says, and print one JSON object a line."""
    options = _parser().parse_args()
    if not options.store.is_dir():
        return
    rule = Rule(options.keep, options.older_than_seconds, options.dry_run)
    for found in sweep(Store(options.store), rule, time.time()):
        sys.stdout.write(json.dumps(found) + "\n")


def _is_digest(name: str) -> bool:
    return len(name) >= _SHORTEST and set(name) <= set("0123456789abcdef")


def _born(folder: Path) -> float:
    """Return when an artifact was completed, or when a half one was last touched."""
    with suppress(FileNotFoundError):
        return (folder / MANIFEST).stat().st_mtime
    return folder.stat().st_mtime


def _remove(store: Store, folder: Path, address: str) -> bool:
    """Remove an artifact, whose name goes first: no half of it is ever taken for whole."""
    with store.try_lock(address) as mine:
        if mine:
            gone = folder.with_name(f".{folder.name}.gone")
            shutil.rmtree(gone, ignore_errors=True)
            folder.rename(gone)
            shutil.rmtree(gone)
    return mine


def command(store: str, rule: Rule) -> Sequence[str]:
    """Return the command line that sweeps a store by a rule."""
    return (
        *("python3", "-m", "modelops.building.sweep", f"--store={store}"),
        f"--older-than-seconds={int(rule.older_than_seconds)}",
        *(f"--keep={address}" for address in sorted(rule.keep)),
        *(["--dry-run"] if rule.dry_run else []),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("sweep", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--store", type=Path, required=True, help="folder that keeps artifacts by their digest")
    add("--keep", action="append", default=[], help="digest of an artifact that stays")
    add("--older-than-seconds", type=float, required=True, help="age of those that go")
    add("--dry-run", action="store_true", help="remove nothing, and say what would go")
    return parser


if __name__ == "__main__":
    main()
