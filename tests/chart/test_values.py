"""Values: all are documented, wrong ones are refused with a message that helps."""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import pytest
import yaml

from chart.helm import CHART, CPU, Helm, HelmError, one
from modelops.cli.offline import IMAGES

TEXT = (CHART / "values.yaml").read_text(encoding="utf-8")
VALUES = yaml.safe_load(TEXT)
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))

REFUSED = {
    "replicas=2": "additional properties 'replicas' not allowed",
    "operator.replica=2": "additional properties 'replica' not allowed",
    "operator.replicas=-1": "minimum: got -1, want 0",
    "operator.replicas=two": "got string, want integer",
    "operator.workers=0": "minimum: got 0, want 1",
    "operator.logLevel=loud": "must be one of 'debug', 'info', 'warning', 'error'",
    "operator.resources.limit.cpu=1": "additional properties 'limit' not allowed",
    "operator.resources.requests.memory=lots": "'lots' does not match pattern",
    "operator.env[0].name=MODELOPS_WORKERS": "sets MODELOPS_WORKERS, which the chart sets",
    "imagePullPolicy=Sometimes": "must be one of 'Always', 'IfNotPresent', 'Never'",
    "images.vllm=vllm/vllm-openai": 'images.vllm is "vllm/vllm-openai", which has no tag or',
    "images.vllm=vllm@sha256:12": "which has no tag or digest",
    "images.modelops=": "images.modelops is empty, but the operator",
    "images.My_Engine=a:1": "invalid propertyName 'My_Engine'",
    "accelerator=gpu": "'gpu' does not match pattern",
    "cache.size=big": "'big' does not match pattern",
    "cache.storageClass=fast": "additional properties 'storageClass' not allowed",
    "watchNamespaces=team-a": "got string, want array",
    "watchNamespaces[0]=Team_A": "'Team_A' does not match pattern",
    "crds.install=maybe": "got string, want boolean",
    "serviceAccount.create=false": "name the account that exists in serviceAccount.name",
    "gateway.certificate.issuerRef.name=ours": "name one in gateway.tlsSecret",
    "gateway.certificate.issuerRef.kind=Issuer": "properties 'name' required",
    "metrics.podMonitor.create=true": "must be one of 'Auto', 'Always', 'Never'",
    "fullnameOverride=-x": "'-x' does not match pattern",
}


def paths(values: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Return the path of every value that values.yaml shows, parents too."""
    for key, value in values.items():
        yield (*above, key)
        if isinstance(value, Mapping):
            yield from paths(value, (*above, key))


def described(schema: Mapping[str, Any], path: tuple[str, ...]) -> Mapping[str, Any] | None:
    """Return the schema of the value at a path, None when the schema does not name it."""
    reference = schema.get("$ref")
    if reference:
        schema = SCHEMA["$defs"][reference.rpartition("/")[2]]
    if not path:
        return schema
    properties = schema.get("properties", {})
    below = properties.get(path[0]) or schema.get("additionalProperties")
    return described(below, path[1:]) if below else None


@pytest.mark.parametrize(("value", "message"), REFUSED.items())
def test_a_wrong_value_is_refused(helm: Helm, value: str, message: str) -> None:
    """What is misspelled or makes no sense is an error that says so, never a silent default."""
    with pytest.raises(HelmError, match=re.escape(message)):
        helm.text(f"--set={value}")


def test_the_schema_knows_every_value() -> None:
    """Each value of values.yaml is in the schema."""
    assert not [".".join(p) for p in paths(VALUES) if described(SCHEMA, p) is None]


def test_every_value_of_the_schema_is_shown() -> None:
    """Each value that the schema names stands in values.yaml, but for `global`."""

    def names(schema: Mapping[str, Any]) -> set[str]:
        return set((described(schema, ()) or {}).get("properties", {}))

    assert names(SCHEMA) - {"global"} == set(VALUES)
    for key in (
        "cache",
        "crds",
        "rbac",
        "serviceAccount",
        "operator",
        "gateway",
        "metrics",
        "networkPolicy",
    ):
        assert names(SCHEMA["properties"][key]) == set(VALUES[key])


def test_every_value_is_explained() -> None:
    """In values.yaml a comment stands above each value, except inside examples of free form."""
    lines = TEXT.splitlines()
    silent = [
        line
        for before, line in pairwise(lines)
        if re.match(r" *[\w-]+:", line) and not before.lstrip().startswith("#")
    ]
    free_form = re.compile(r"limits:|requests:|cpu: \w+|memory: \w+|grafana_dashboard: \"1\"")
    assert not [line for line in silent if not free_form.fullmatch(line.strip())]


def test_the_command_line_knows_the_default_images() -> None:
    """`modelops render` without a cluster takes the images that the chart names."""
    assert VALUES["images"] == IMAGES


def test_changed_values_roll_the_operator(helm: Helm) -> None:
    """Whatever the operator reads is in its pod template: a changed value changes the pods."""

    def template(*options: str) -> Any:
        return one(helm.objects(*options), "Deployment", "modelops-operator")["spec"]["template"]

    before = template()
    changes = ("accelerator=", "cache.size=1Gi", "images.extra=x:1", "operator.logLevel=debug")
    assert helm.text() == helm.text()
    for change in (*changes, "watchNamespaces[0]=a", "clusterDomain=c.example"):
        assert template(f"--set={change}") != before, change


def test_helm_lint_finds_nothing(helm: Helm) -> None:
    """Helm's own linter is content with the defaults and the CPU values."""
    assert "0 chart(s) failed" in helm.lint("--strict")
    assert "0 chart(s) failed" in helm.lint("--strict", f"--values={CPU}")
