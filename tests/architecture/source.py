"""The project's own source, to be judged."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One Python file of the project."""

    path: Path

    @cached_property
    def text(self) -> str:
        """The file's text."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        """The file's syntax tree."""
        return ast.parse(self.text)

    @property
    def name(self) -> str:
        """The path below the project's root."""
        return str(self.path.relative_to(ROOT))

    @property
    def functions(self) -> Iterator[Function]:
        """Every function and method."""
        return (n for n in ast.walk(self.tree) if isinstance(n, Function))


def modules(*folders: str) -> tuple[Module, ...]:
    """Return the modules below the folders, in order of path."""
    found = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return tuple(Module(path) for path in sorted(found))
