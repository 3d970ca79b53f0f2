"""Folders that hold further weights, a folder for each name."""

from pathlib import Path

from diffusion.fault import invalid


def named(root: Path | None, name: str, what: str) -> Path:
    """Return the folder of a name, or the only one where no name is given.

    Raises Fault (invalid_input), which tells what there is.
    """
    there = names(root)
    if not name and len(there) == 1:
        name = there[0]
    if root is None or name not in there:
        raise invalid(f"there is no {what} named {name!r}; there are {', '.join(there) or 'none'}")
    return root / name


def names(root: Path | None) -> list[str]:
    """Return the names that there are now; new ones may come at any time."""
    if root is None or not root.is_dir():
        return []
    return sorted(place.name for place in root.iterdir() if place.is_dir())


def weights(folder: Path) -> str:
    """Return the name of the one safetensors file of a folder. Raises ValueError without one."""
    found = sorted(place.name for place in folder.glob("*.safetensors"))
    if not found:
        raise ValueError(f"{folder.name} holds no safetensors file")
    return found[0]
