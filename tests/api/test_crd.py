"""The CRD is what the API server needs: structural, documented, complete."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelops.api.crd import crd
from modelops.api.group import EVERY_KIND
from modelops.api.kind import Kind
from modelops.api.kinds import KINDS
from modelops.api.manifest import crd_yaml
from modelops.api.naming import named

ROOT = Path(__file__).parents[2]
TEXT = crd(KINDS["TextModel"])["spec"]["versions"][0]
SCHEMA = TEXT["schema"]["openAPIV3Schema"]
every_kind = pytest.mark.parametrize("kind", EVERY_KIND.values(), ids=lambda kind: str(kind.name))


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every part of a schema with its path."""
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from nodes(part, f"{path}.{name}")
    for one in ("items", "additionalProperties"):
        if one in schema:
            yield from nodes(schema[one], f"{path}[]")


def field(path: str) -> dict[str, Any]:
    """Return the schema of a field."""
    return dict(nodes(SCHEMA))[path]


@every_kind
def test_committed_crds_equal_the_types(kind: Kind) -> None:
    """The file in crds/ is the one that the types give; `make generate` writes it."""
    assert (ROOT / "crds" / f"{kind.plural}.yaml").read_text(encoding="utf-8") == crd_yaml(kind)


@every_kind
def test_schemas_are_structural(kind: Kind) -> None:
    """Every node has one type and nothing that a structural schema forbids."""
    forbidden = {"$ref", "$defs", "title", "allOf", "oneOf", "not", "const", "definitions"}
    schema = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for path, node in nodes(schema):
        assert not forbidden & node.keys(), path
        assert node.get("type") or node.get("x-kubernetes-int-or-string"), path
        assert ("anyOf" in node) == ("x-kubernetes-int-or-string" in node), path
        assert node.get("additionalProperties") is not False, path


@every_kind
def test_every_field_is_documented(kind: Kind) -> None:
    """`kubectl explain` has a sentence for every field."""
    schema = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    bare = [
        path
        for path, node in nodes(schema)
        if path and not path.endswith("[]") and path != ".metadata" and not node.get("description")
    ]
    assert not bare


@every_kind
def test_rules_name_what_to_write(kind: Kind) -> None:
    """Every CEL rule has a message of its own."""
    schema = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    found = [r for _, n in nodes(schema) for r in n.get("x-kubernetes-validations", [])]
    assert found
    assert all(r["rule"] and len(r["message"]) > 20 for r in found)
    assert len({r["message"] for r in found}) == len(found)


@every_kind
def test_strings_that_rules_read_are_bounded(kind: Kind) -> None:
    """Strings, lists and maps of a spec have a greatest length, so that CEL's cost is bounded."""
    spec = dict(nodes(crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]))
    unbounded = [
        path
        for path, node in spec.items()
        if path.startswith(".spec")
        and (
            (node.get("type") == "string" and not {"maxLength", "enum"} & node.keys())
            or (node.get("type") == "array" and "maxItems" not in node)
        )
    ]
    assert not unbounded


def test_the_smallest_object_has_one_field() -> None:
    """Only spec.model.uri is required."""
    assert SCHEMA["required"] == ["spec"]
    assert field(".spec")["required"] == ["model"]
    assert field(".spec.model")["required"] == ["uri"]
    required = [p for p, n in nodes(field(".spec")) if n.get("required")]
    assert required == [
        "",
        ".model",
        ".model.secretRef",
        ".runtime.env[]",
        ".quantization",
        ".quantization.output.claim",
        ".scaling.schedules[]",
        ".scaling.triggers[].prometheus",
        ".scaling.triggers[].prometheus.secretRef",
        ".scaling.triggers[].redisStreams",
        ".scaling.triggers[].redisStreams.secretRef",
    ]


def test_defaults_reach_the_cluster() -> None:
    """Defaults of an object stand on it too, so that they are filled in and its rules hold."""
    assert field(".spec.scaling")["default"]["minReplicas"] == 1
    assert field(".spec.scaling.minReplicas")["default"] == 1
    assert field(".spec.cache.medium")["default"] == "PersistentVolumeClaim"


def test_an_optional_object_stays_absent() -> None:
    """What is not asked for is not filled in: nobody gets an accelerator by default."""
    assert "default" not in field(".spec.resources.accelerator")
    assert "default" not in field(".spec.podTemplate")
    assert field(".spec.resources.accelerator.count")["default"] == 1


def test_a_fresh_object_never_reads_as_current() -> None:
    """The status of a new object says that nobody has looked yet."""
    assert field(".status")["default"] == {"observedGeneration": -1}


def test_only_the_pod_template_is_open() -> None:
    """No other field keeps what the schema does not know."""
    open_fields = [p for p, n in nodes(SCHEMA) if n.get("x-kubernetes-preserve-unknown-fields")]
    assert open_fields == [".spec.podTemplate.metadata", ".spec.podTemplate.spec"]


def test_lists_of_named_things_merge_by_key() -> None:
    """Server-side apply merges environment and conditions item by item."""
    assert field(".spec.runtime.env")["x-kubernetes-list-map-keys"] == ["name"]
    assert field(".status.conditions")["x-kubernetes-list-map-keys"] == ["type"]


def test_kubectl_finds_its_way() -> None:
    """Short name, category, columns and subresources are what the guides use."""
    names = crd(KINDS["TextModel"])["spec"]["names"]
    assert (names["shortNames"], names["categories"]) == (["tm"], ["modelops"])
    columns = [c["name"] for c in TEXT["additionalPrinterColumns"] if "priority" not in c]
    assert columns == ["Model", "Runtime", "Ready", "Reason", "URL", "Age"]
    assert set(TEXT["subresources"]) == {"status", "scale"}


@pytest.mark.parametrize("example", sorted((ROOT / "manifests" / "examples").glob("*.yaml")))
def test_examples_fit_the_types(example: Path) -> None:
    """Every document of an example is of a kind that exists, with fields that exist."""
    for document in yaml.safe_load_all(example.read_text(encoding="utf-8")):
        EVERY_KIND[document["kind"]].parse(document)
        assert named(document["metadata"]["name"])


@pytest.mark.parametrize(
    ("name", "allowed"),
    [("a", True), ("a-1", True), ("a" * 50, True)]
    + [(bad, False) for bad in ("", "1a", "a-", "-a", "A", "a.b", "a_b", "a" * 51, "a\n")],
)
def test_names_are_those_a_service_may_have(name: str, *, allowed: bool) -> None:
    """A name is lower case, starts with a letter and leaves room for what children append."""
    assert named(name) is allowed
