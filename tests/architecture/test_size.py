"""How long functions and modules may be."""

import ast
from statistics import median, quantiles

from architecture.source import Module

MEDIAN, P95, LONGEST = 10, 30, 60
MODULE = 400


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function without its docstring, which is prose."""
    prose = function.body[0] if ast.get_docstring(function) else None
    lines = function.end_lineno - function.lineno + 1
    return lines - (prose.end_lineno - prose.lineno + 1 if prose else 0)


def test_functions_are_short(product: tuple[Module, ...]) -> None:
    """Half of the functions have at most 10 lines, 19 of 20 at most 30, none more than 60."""
    sizes = {f"{m.name}:{f.lineno} {f.name}": length(f) for m in product for f in m.functions}
    longest = sorted(sizes.items(), key=lambda item: -item[1])[:5]
    assert max(sizes.values()) <= LONGEST, longest
    assert quantiles(sizes.values(), n=20)[-1] <= P95, longest
    assert median(sizes.values()) <= MEDIAN, longest


def test_modules_are_short(product: tuple[Module, ...]) -> None:
    """No module has more than 400 lines."""
    long = {m.name: count for m in product if (count := len(m.text.splitlines())) > MODULE}
    assert not long
