"""From a kind to the page of the reference that tells all of its fields."""

from collections.abc import Iterator
from typing import Any, Final

from modelops.api.base import API_VERSION
from modelops.api.crd import crd
from modelops.api.kind import Kind

Schema = dict[str, Any]
_BOUNDS: Final = (("minimum", "at least"), ("maximum", "at most"))


def reference_markdown(kind: Kind) -> str:
    """Return the kind's reference as Markdown: every field, its type, default and rules."""
    root = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    objects = (("spec", root["properties"]["spec"]), ("status", root["properties"]["status"]))
    sections = (part for path, schema in objects for part in _sections(path, schema))
    return "\n\n".join((_head(kind, root), _columns(kind), *sections)) + "\n"


def _head(kind: Kind, root: Schema) -> str:
    return (
        f"# {kind.name}\n\n"
        "<!-- Made from the types by `make generate`; do not edit. -->\n\n"
        f"{kind.description}\n\n"
        f"`apiVersion: {API_VERSION}`, `kind: {kind.name}`. "
        f"For kubectl: `{kind.plural}`, `{kind.singular}`, `{kind.short_name}`; "
        "all kinds together: `modelops`.\n\n" + "\n".join(_rules("metadata.name", root))
    )


def _columns(kind: Kind) -> str:
    lines = (f"| {c.name} | `{_cell(c.json_path)}` |" for c in kind.columns if not c.priority)
    wide = (
        f"| {c.name} (`-o wide`) | `{_cell(c.json_path)}` |" for c in kind.columns if c.priority
    )
    table = ("| column | shows |", "|---|---|", *lines, *wide)
    return "\n".join(("## Columns of `kubectl get`", "", *table))


def _sections(path: str, schema: Schema) -> Iterator[str]:
    """Yield the section of an object, then those of the objects in it."""
    yield _section(path, schema)
    for name, field in schema["properties"].items():
        where, inner = _inner(f"{path}.{name}", field)
        if inner.get("properties"):
            yield from _sections(where, inner)


def _inner(path: str, field: Schema) -> tuple[str, Schema]:
    return (f"{path}[]", field["items"]) if "items" in field else (path, field)


def _section(path: str, schema: Schema) -> str:
    required = schema.get("required", [])
    rows = (_row(path, n, f, required=n in required) for n, f in schema["properties"].items())
    table = ("| field | type | default | what it is |", "|---|---|---|---|", *rows)
    rules = tuple(_rules(path, schema))
    about = (schema["description"], "") if "description" in schema else ()
    return "\n".join((f"## {path}", "", *about, *table, *(("", *rules) if rules else ())))


def _row(path: str, name: str, field: Schema, *, required: bool) -> str:
    default = "**required**" if required else _default(field)
    about = _cell(" ".join((field.get("description", ""), *_bounds(field))))
    return f"| `{name}` | {_type(f'{path}.{name}', field)} | {default} | {about} |"


def _type(path: str, field: Schema) -> str:
    if "items" in field:
        return f"list of {_type(f'{path}[]', field['items'])}"
    if field.get("properties"):
        return f"[object](#{_anchor(path)})"
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    return "quantity" if field.get("x-kubernetes-int-or-string") else str(field["type"])


def _anchor(path: str) -> str:
    """Return the anchor that a Markdown viewer gives to a section's heading."""
    return "".join(c for c in path.lower() if c.isalnum())


def _default(field: Schema) -> str:
    plain = "default" in field and field["default"] not in ({}, [], "")
    return f"`{field['default']}`" if plain else ""


def _bounds(field: Schema) -> Iterator[str]:
    told = [f"{words} {field[key]}" for key, words in _BOUNDS if key in field]
    if told:
        yield " and ".join(told).capitalize() + "."


def _rules(path: str, schema: Schema) -> Iterator[str]:
    found = schema.get("x-kubernetes-validations", [])
    if found:
        yield f"The API server refuses a `{path}` that breaks a rule, in these words:\n"
    for each in found:
        yield f"* {each['message']}"


def _cell(text: str) -> str:
    return text.strip().replace("|", "\\|")
