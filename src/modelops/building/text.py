"""The text that comes with every builder: Python's own documentation.

It is what ``help()`` shows of the language (the module ``pydoc_data.topics`` of the standard
library), under the licence of Python itself. Half of its topics calibrate, the other half is held
out to measure with: no paragraph is in both.
"""

import json
import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from pydoc_data.topics import topics
from typing import Final

from modelops.building.broken import Broken

_BREAK: Final = "\n\n"

WINDOW: Final = 128
"""Tokens of one window of held-out text."""

PROMPTS: Final = (
    "What is a function?",
    "Explain in one sentence what a dictionary is.",
    "Write a loop that prints the numbers from one to ten.",
    "How do I open a file and read its lines?",
    "What is the difference between a list and a tuple?",
    "Name three colours.",
    "Translate into French: good morning, how are you?",
    "The quick brown fox",
    "Summarize: the meeting was moved from Monday to Thursday because the room was taken.",
    "What is 17 times 23?",
    "Write a polite refusal to an invitation.",
    "List the planets of the solar system in order.",
    "An exception is raised when",
    "Once upon a time there was",
    "The import statement",
    "Give a synonym of the word quick.",
)
"""What the base and the artifact are asked, to see where they part."""


def calibration_text() -> Iterator[str]:
    """Return the topics to calibrate on, in one order on every machine."""
    return (text for text in _topics() if not _held_out(text))


def held_out_text() -> Iterator[str]:
    """Return the topics to measure with, in one order on every machine."""
    seen = {part for text in calibration_text() for part in _paragraphs(text)}
    kept = ([p for p in _paragraphs(t) if p not in seen] for t in _topics() if _held_out(t))
    return (_BREAK.join(parts) + "\n" for parts in kept if parts)


def _paragraphs(text: str) -> list[str]:
    return [part.strip() for part in text.split(_BREAK) if part.strip()]


def _topics() -> list[str]:
    """Return each topic once: many have several names."""
    return sorted(set(topics.values()))


def read_text(file: Path) -> Iterator[str]:
    """Return the texts of a file: paragraphs, or of a .jsonl the ``text`` of each line.

    Raises Broken (CalibrationInvalid).
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _invalid(f"the calibration text {file.name} cannot be read ({error})") from error
    if file.suffix == ".jsonl":
        return (_line(line, number) for number, line in enumerate(lines, 1) if line.strip())
    return (f"{part.strip()}\n" for part in "\n".join(lines).split("\n\n") if part.strip())


def _line(line: str, number: int) -> str:
    try:
        document = json.loads(line)
        messages = document.get("messages", ())
        text = document.get("text") or "\n".join(str(each["content"]) for each in messages)
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise _invalid(f"line {number} of the calibration text is no object with text") from error
    if not isinstance(text, str) or not text:
        raise _invalid(f"line {number} of the calibration text has neither `text` nor `messages`")
    return text


def windows(tokens: Iterator[list[int]], length: int, most: int) -> list[list[int]]:
    """Return the first windows of so many tokens of all texts, one after the other."""
    found: list[list[int]] = []
    held: list[int] = []
    for each in chain(tokens):
        held += each
        while len(held) >= length and len(found) < most:
            found.append(held[:length])
            held = held[length:]
        if len(found) == most:
            break
    return found


def _held_out(text: str) -> bool:
    return zlib.crc32(text.encode()) % 2 == 0


def _invalid(message: str) -> Broken:
    return Broken(
        "CalibrationInvalid",
        message,
        "give a UTF-8 .txt, or a .jsonl whose lines have `text` or `messages`",
        final=True,
    )
