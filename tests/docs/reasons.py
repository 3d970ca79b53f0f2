"""Every reason that the source code can give, found in its syntax trees.

A class or function that has a field or parameter named ``reason`` takes a reason there; so do
entries ``"reason"`` of dictionaries and the values of a Literal named ``Reason``. A reason that is
put together from parts is given as its source text, which no table holds: write it out.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

Places = Mapping[str, int]
"""Position of the reason among the arguments of a callable, by the callable's name."""


def emitted(source: Path) -> frozenset[str]:
    """Return the reasons that appear as text anywhere below a folder of Python files."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in sorted(source.rglob("*.py"))]
    shared = {name: place for tree in trees for name, place in _classes(tree)}
    return frozenset(reason for tree in trees for reason in _of_module(tree, shared))


def _of_module(tree: ast.Module, shared: Places) -> Iterator[str]:
    places = {**shared, **dict(_functions(tree))}
    constants = dict(_constants(tree))
    for node in ast.walk(tree):
        for given in _given(node, places):
            if isinstance(given, ast.Name):
                yield from constants.get(given.id, ())
            else:
                yield from _texts(given)
        yield from _literal(node)


def _given(node: ast.AST, places: Places) -> Iterator[ast.expr]:
    """Yield the expressions that a node gives as a reason."""
    if isinstance(node, ast.Call):
        yield from (k.value for k in node.keywords if k.arg == "reason")
        place = places.get(_name(node.func))
        if place is not None and place < len(node.args):
            yield node.args[place]
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        yield from (v for k, v in pairs if isinstance(k, ast.Constant) and k.value == "reason")


def _texts(given: ast.expr) -> Iterator[str]:
    """Yield the text of an expression, of either branch if it is a choice."""
    if isinstance(given, ast.IfExp):
        yield from (*_texts(given.body), *_texts(given.orelse))
    if isinstance(given, ast.Constant) and isinstance(given.value, str):
        yield given.value
    if isinstance(given, ast.JoinedStr):
        yield ast.unparse(given)


def _literal(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Assign) and any(_name(t) == "Reason" for t in node.targets):
        constants = (n for n in ast.walk(node.value) if isinstance(n, ast.Constant))
        yield from (str(constant.value) for constant in constants)


def _constants(tree: ast.Module) -> Iterator[tuple[str, tuple[str, ...]]]:
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            yield node.target.id, tuple(_texts(node.value))


def _classes(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            fields = [_name(f.target) for f in node.body if isinstance(f, ast.AnnAssign)]
            makers = (f for f in node.body if _is_maker(f))
            names = next((_parameters(f)[1:] for f in makers), fields)
            if "reason" in names:
                yield node.name, names.index("reason")


def _is_maker(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == "__init__"


def _functions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and "reason" in _parameters(node):
            yield node.name, _parameters(node).index("reason")


def _parameters(node: ast.stmt) -> list[str]:
    return [a.arg for a in node.args.args] if isinstance(node, ast.FunctionDef) else []


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
