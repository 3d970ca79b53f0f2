"""Puts Envoy's files in their folder, each by one rename, so that none is ever read half."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile


def publish(folder: Path, files: Mapping[str, str], before: Mapping[str, str]) -> set[str]:
    """Write the files that differ from those published before; return their names.

    They are written in their order, and those that are wanted no more are removed at the end.
    Raises OSError when the folder cannot be written.
    """
    changed = {name: text for name, text in files.items() if before.get(name) != text}
    for name, text in changed.items():
        _replace(folder / name, text)
    for name in before.keys() - files.keys():
        (folder / name).unlink(missing_ok=True)
    return set(changed)


def _replace(path: Path, text: str) -> None:
    # In the same folder, since a rename does not cross file systems.
    with NamedTemporaryFile("w", dir=path.parent, prefix=".", delete=False) as file:
        half = Path(file.name)
    try:
        half.write_text(text)
        half.replace(path)
    except OSError:
        # It would fill the folder up the sooner, and never be looked at.
        half.unlink(missing_ok=True)
        raise


def published(folder: Path) -> dict[str, str]:
    """Return the files that stand in a folder, by name; empty when it is empty."""
    found = (path for path in folder.glob("*.json") if not path.name.startswith("."))
    return {str(path.relative_to(folder)): path.read_text() for path in found}
