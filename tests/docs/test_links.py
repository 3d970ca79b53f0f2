"""What the pages point at is there."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from docs.pages import ROOT, Page, pages
from modelops.api.crd import crd
from modelops.api.group import EVERY_KIND
from modelops.cli.app import app
from modelops.cli.plugin import app as plugin

TARGET = re.compile(r"(?:^|\$ |\()(?:[A-Z_]+=\S+ )*make (?:-s )?([a-z][a-z-]*)", re.MULTILINE)
COMMAND = re.compile(r"(?:^|\$ |kubectl |bin/)modelops ([a-z]+)", re.MULTILINE)
FIELD = re.compile(r"(?<![\w./])(?:spec|status)(?:\.[a-z]\w*)+")
OF_OTHER_OBJECTS = frozenset({"spec.replicas"})
"""Fields of the Deployment that pages speak of."""


@pytest.mark.parametrize("page", pages(), ids=str)
def test_links_lead_somewhere(page: Page) -> None:
    """Every link to a file of the project names one that exists, and a heading that it has."""
    broken = [target for target in page.links if not _leads(page, target)]
    assert not broken


def _leads(page: Page, target: str) -> bool:
    name, _, anchor = target.partition("#")
    path = (page.path.parent / name).resolve() if name else page.path
    return path.exists() and (not anchor or anchor in Page(path).anchors)


@pytest.mark.parametrize("page", pages(), ids=str)
def test_make_targets_exist(page: Page) -> None:
    """Every `make TARGET` in a page's code is a target of the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    known = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    named = {name for code in page.code for name in TARGET.findall(code)}
    assert named <= known


@pytest.mark.parametrize("page", pages(), ids=str)
def test_commands_exist(page: Page) -> None:
    """Every `modelops COMMAND` in a page's code is a command of modelops or of its plugin."""
    groups = (*app.registered_groups, *plugin.registered_groups)
    listed = (*app.registered_commands, *plugin.registered_commands, *groups)
    named = {name for code in page.code for name in COMMAND.findall(code)}
    assert named <= {command.name for command in listed}


@pytest.mark.parametrize("page", pages(), ids=str)
def test_fields_exist(page: Page) -> None:
    """Every field of a spec or status that a page names in code is one of a kind."""
    named = {path for code in _for_kubectl(page) for path in FIELD.findall(code)}
    schemas = [
        crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for kind in EVERY_KIND.values()
    ]
    named -= OF_OTHER_OBJECTS
    assert not {path for path in named if not any(_has(s, path.split(".")) for s in schemas)}


def _for_kubectl(page: Page) -> Iterator[str]:
    """Yield a page's code but for Python, which spells fields in its own way."""
    python = {block.text for block in page.blocks if block.language == "python"}
    return (code for code in page.code if code not in python)


def _has(schema: dict[str, Any], path: list[str]) -> bool:
    if not path:
        return True
    inner = schema.get("items", schema)
    if inner.get("x-kubernetes-preserve-unknown-fields"):
        return True
    field = inner.get("properties", {}).get(path[0])
    return field is not None and _has(field, path[1:])


def test_the_decisions_are_listed() -> None:
    """Every decision is in the list of decisions, by its number and file."""
    listed = set(Page(ROOT / "docs/adr/README.md").links)
    assert listed == {path.name for path in (ROOT / "docs/adr").glob("[0-9]*.md")}


def test_the_pages_are_found() -> None:
    """The pages that readers begin with are among those that are judged."""
    names = {str(page) for page in pages()}
    assert {"README.md", "docs/architecture.md", "docs/guides/troubleshoot.md"} <= names
