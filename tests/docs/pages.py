"""The Markdown pages of the project: their links, headings and code."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_FENCE: Final = re.compile(
    r"^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
_LINK: Final = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_INLINE: Final = re.compile(r"`([^`\n]+)`")
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of code in a page."""

    page: "Page"
    number: int
    language: str
    text: str

    def __str__(self) -> str:
        """Name the block for a test's id."""
        return f"{self.page}:{self.number}"


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    def __str__(self) -> str:
        """Return the path below the root."""
        return str(self.path.relative_to(ROOT))

    @property
    def text(self) -> str:
        """All of it."""
        return self.path.read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """All of it but the fenced blocks."""
        return _FENCE.sub("", self.text)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The fenced blocks, in order."""
        found = enumerate(_FENCE.finditer(self.text), start=1)
        return tuple(Block(self, number, m["language"], m["text"]) for number, m in found)

    @property
    def code(self) -> Iterator[str]:
        """Every piece of code: fenced blocks and what stands between backticks."""
        yield from (block.text for block in self.blocks)
        yield from _INLINE.findall(self.prose)

    @property
    def links(self) -> tuple[str, ...]:
        """The targets of its links to files and headings of this project."""
        found = (match["target"] for match in _LINK.finditer(_INLINE.sub("code", self.prose)))
        return tuple(target for target in found if "://" not in target)

    @property
    def anchors(self) -> frozenset[str]:
        """The anchors that a Markdown viewer gives to its headings."""
        return frozenset(_anchor(heading) for heading in _HEADING.findall(self.prose))


def _anchor(heading: str) -> str:
    kept = re.sub(r"[^\w\- ]", "", heading.lower())
    return kept.strip().replace(" ", "-")


def pages() -> tuple[Page, ...]:
    """Return the pages that are written for readers: at the root, in docs, beside parts."""
    parts = (
        "docs/**/*.md",
        *(f"{part}/*/README.md" for part in ("charts", "manifests", "runtimes")),
    )
    paths = (*ROOT.glob("*.md"), *(path for part in parts for path in ROOT.glob(part)))
    return tuple(Page(path) for path in sorted(paths))


def blocks(language: str) -> tuple[Block, ...]:
    """Return the fenced blocks of a language, from all pages."""
    return tuple(b for page in pages() for b in page.blocks if b.language == language)
