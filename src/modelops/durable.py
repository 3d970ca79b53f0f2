"""Files that are there as a whole or not at all, whenever the power fails."""

import os
from pathlib import Path
from typing import Final

PARTIAL: Final = ".partial"
"""What the name of a file or folder ends with as long as it is not whole."""


def write_whole(path: Path, text: str) -> None:
    """Write a file so that its old or its new text is there, never a part of it."""
    fresh = path.with_name(path.name + PARTIAL)
    with fresh.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to disk."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
