"""The model that a build begins with, as its files lie in a folder."""

from dataclasses import dataclass
from pathlib import Path

from modelops.building.broken import Broken
from modelops.registry.address import Record
from modelops.registry.configuration import Configuration, read_configuration
from modelops.registry.failure import Failure
from modelops.registry.selection import Selection, select


@dataclass(frozen=True, slots=True)
class Model:
    """A model in a folder: its files, and what its configuration says."""

    folder: Path
    selection: Selection
    config: Configuration

    @property
    def size(self) -> int:
        """Bytes of the weights."""
        return sum(record.size for record in self.selection.weights)

    @property
    def beside(self) -> tuple[str, ...]:
        """Files that go with the artifact as they are: the tokenizer and what else is no weight."""
        paths = (record.path for record in self.selection.beside)
        return tuple(path for path in paths if not path.endswith(".index.json"))


def read_model(folder: Path, index: str = "config.json") -> Model:
    """Look at a folder, which ``index`` describes. Raises Broken, and Failure."""
    if not folder.is_dir():
        raise _missing(f"the source {folder} does not exist")
    selection = _selection(folder)
    try:
        config = read_configuration((folder / index).read_bytes())
    except FileNotFoundError as error:
        raise _missing(f"the source has no {index}") from error
    except ValueError as error:
        raise _missing(f"the source's configuration cannot be read: {error}") from error
    return Model(folder, selection, config)


def _selection(folder: Path) -> Selection:
    try:
        return select(_records(folder))
    except Failure as failure:
        if failure.reason != "WeightsUnsafe":
            raise
        raise Broken(
            "WeightsUnsafe",
            failure.message,
            "convert them with the hub's safetensors conversion or `save_pretrained`: builders "
            "never load a pickle",
            final=True,
        ) from failure


def _records(folder: Path) -> list[Record]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return [Record(path.relative_to(folder).as_posix(), path.stat().st_size) for path in files]


def _missing(message: str) -> Broken:
    return Broken(
        "SourceMissing",
        message,
        "check that the source is a whole model in the transformers layout",
        final=True,
    )
