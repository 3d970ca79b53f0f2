"""What the source never holds."""

import ast
import re
from collections.abc import Iterator

from architecture.source import Module
from modelops.api.kinds import KINDS

VAGUE = re.compile(r"(^|_)(utils?|helpers?|commons?|misc|managers?|singletons?)(_|$)")
VAGUE_CLASS = re.compile(r"(Utils?|Helpers?|Manager|Singleton)$")
MUTATORS = frozenset(
    {"add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove"}
    | {"setdefault", "sort", "update"}
)
OPEN_TO_KINDS = (
    "src/modelops/api/kinds/",
    "src/modelops/builders/tools/",
    "src/modelops/runtimes/engines/",
    "src/modelops/cli/",  # a command line may have a favourite
)


def module_names(tree: ast.Module) -> set[str]:
    """Return the names bound at a module's top level by assignment."""
    bound = (n for n in tree.body if isinstance(n, ast.Assign | ast.AnnAssign))
    targets = (t for n in bound for t in (n.targets if isinstance(n, ast.Assign) else [n.target]))
    return {t.id for t in targets if isinstance(t, ast.Name)}


def mutations(tree: ast.Module) -> Iterator[str]:
    """Return every place that changes what a module-level name is bound to."""
    names = module_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield f"line {node.lineno}: global {', '.join(node.names)}"
        if (
            isinstance(node, ast.Subscript)
            and not isinstance(node.ctx, ast.Load)
            and isinstance(node.value, ast.Name)
            and node.value.id in names
        ):
            yield f"line {node.lineno}: {node.value.id}[...] changes"
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in MUTATORS
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in names
        ):
            yield f"line {node.lineno}: {node.func.value.id}.{node.func.attr}(...)"


def test_modules_hold_no_state(product: tuple[Module, ...]) -> None:
    """No function changes what a module holds, and nothing is cached between calls."""
    found = {m.name: list(mutations(m.tree)) for m in product}
    assert not {name: places for name, places in found.items() if places}
    caching = [m.name for m in product if re.search(r"@(functools\.)?(lru_)?cache\b", m.text)]
    assert not caching


def test_names_say_what_a_thing_is(product: tuple[Module, ...]) -> None:
    """No module or class is named after nothing in particular: utils, helpers, managers."""
    modules = [m.name for m in product if any(VAGUE.search(p) for p in m.name[:-3].split("/"))]
    classes = [
        f"{m.name} {n.name}"
        for m in product
        for n in ast.walk(m.tree)
        if isinstance(n, ast.ClassDef) and VAGUE_CLASS.search(n.name)
    ]
    assert not modules + classes


def test_no_kind_is_special(product: tuple[Module, ...]) -> None:
    """Outside the kinds' and runtimes' own modules nothing names a kind: no `if kind ==`."""
    strangers = [m for m in product if not m.name.startswith(OPEN_TO_KINDS)]
    named = [
        f"{m.name}:{n.lineno} {n.value}"
        for m in strangers
        for n in ast.walk(m.tree)
        if isinstance(n, ast.Constant) and n.value in KINDS
    ]
    imported = [
        f"{m.name}:{n.lineno} {n.module}"
        for m in strangers
        for n in ast.walk(m.tree)
        if isinstance(n, ast.ImportFrom)
        and re.match(r"modelops\.(api\.kinds|builders\.tools|runtimes\.engines)\.", n.module or "")
    ]
    assert not named + imported


def test_every_test_tells_its_law(tests: tuple[Module, ...]) -> None:
    """Every test has a docstring: the law that it checks."""
    silent = [
        f"{m.name}:{f.lineno} {f.name}"
        for m in tests
        for f in m.functions
        if f.name.startswith("test_") and not ast.get_docstring(f)
    ]
    assert not silent
