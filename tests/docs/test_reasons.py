"""Readers find every reason that a status can show."""

import ast
import re
from pathlib import Path

from docs.pages import ROOT, Page
from docs.reasons import emitted

ROW = re.compile(r"^\| `([A-Z][A-Za-z]+)` \|(.+)\|(.+)\|$", re.MULTILINE)
TROUBLESHOOT = Page(ROOT / "docs" / "guides" / "troubleshoot.md")


def test_every_reason_is_explained_and_no_other() -> None:
    """The tables of the guide hold exactly the reasons that the source code can give."""
    listed = [row[0] for row in ROW.findall(TROUBLESHOOT.text)]
    assert len(listed) == len(set(listed))
    assert set(listed) == emitted(ROOT / "src" / "modelops")


def test_every_reason_has_a_meaning_and_an_action() -> None:
    """Each row tells what the reason means and what to do, in a sentence each."""
    rows = ROW.findall(TROUBLESHOOT.text)
    assert rows
    bare = [name for name, *told in rows if not all(t.strip().endswith(".") for t in told)]
    assert not bare


def test_reasons_are_found_wherever_they_are_given(tmp_path: Path) -> None:
    """Fields, parameters, keywords, constants, choices, dictionaries and Literals are all seen."""
    code = """
KNOWN: Final = "FromConstant"
Reason = Literal["FromLiteral"]
class Cause:
    reason: str
class Hint:
    pattern: str
    reason: str
class Failure(Exception):
    def __init__(self, reason, message): ...
def waiting(facts, reason): ...
Cause("FromField"); Hint("x", "FromSecondField"); Failure("FromMaker", "not this")
waiting(1, "FromParameter"); Cause(reason="FromKeyword"); Cause(KNOWN)
Cause("FromThis" if x else "FromThat"); Cause(f"{from_parts}")
{"reason": "FromDictionary", "message": "not this"}
"""
    ast.parse(code)
    (tmp_path / "module.py").write_text(code, encoding="utf-8")
    assert emitted(tmp_path) == {
        "FromConstant", "FromLiteral", "FromField", "FromSecondField", "FromMaker",
        "FromParameter", "FromKeyword", "FromThis", "FromThat", "f'{from_parts}'", "FromDictionary",
    }  # fmt: skip
