"""The reference is what the types say."""

import pytest

from docs.pages import ROOT
from modelops.api.group import EVERY_KIND
from modelops.api.kind import Kind
from modelops.api.reference import reference_markdown

FOLDER = ROOT / "docs" / "reference"


@pytest.mark.parametrize("kind", EVERY_KIND.values(), ids=lambda kind: str(kind.name))
def test_the_reference_equals_the_types(kind: Kind) -> None:
    """The committed page is the one that the types give; `make generate` writes it."""
    committed = (FOLDER / f"{kind.singular}.md").read_text(encoding="utf-8")
    assert committed == reference_markdown(kind)


def test_every_page_has_a_kind() -> None:
    """No page is left of a kind that is gone."""
    assert {path.stem for path in FOLDER.glob("*.md")} == {k.singular for k in EVERY_KIND.values()}


@pytest.mark.parametrize("kind", EVERY_KIND.values(), ids=lambda kind: str(kind.name))
def test_every_field_is_explained(kind: Kind) -> None:
    """No row of the reference is without words on what the field is."""
    rows = [line for line in reference_markdown(kind).splitlines() if line.startswith("| `")]
    assert rows
    assert not [row for row in rows if not row.rstrip(" |").split("|")[-1].strip()]
