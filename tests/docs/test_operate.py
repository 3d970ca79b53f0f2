"""The guide for operators names what there is, and all of it."""

import re

import yaml

from docs.pages import ROOT, Page
from modelops.controller.metrics import Metrics

CHART = ROOT / "charts" / "modelops"
GUIDE = Page(ROOT / "docs" / "guides" / "operate.md")
VALUE = re.compile(
    r"`((?:images|accelerator|cache|clusterDomain|watchNamespaces|crds|operator|rbac|metrics)"
    r"(?:\.\w+)*)`"
)


def test_every_metric_is_listed_and_no_other() -> None:
    """The guide lists exactly the metrics that the operator exposes, by their full names."""
    families = Metrics.create().registry.collect()
    exposed = {f"{f.name}_total" if f.type == "counter" else f.name for f in families}
    assert set(re.findall(r"^\| `(modelops_\w+)`", GUIDE.text, re.MULTILINE)) == exposed


def test_every_alert_is_listed_and_no_other() -> None:
    """The guide lists exactly the alerts that the chart makes."""
    made = re.findall(r"- alert: (\w+)", (CHART / "templates/alerts.yaml").read_text("utf-8"))
    assert set(re.findall(r"^\| `(Modelops\w+)`", GUIDE.text, re.MULTILINE)) == set(made)


def test_every_value_that_is_named_exists() -> None:
    """Every value of the chart that the guide names is one of values.yaml."""
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    named = VALUE.findall(GUIDE.text)
    assert named
    assert not [name for name in named if not _has(values, name.split("."))]


def _has(values: object, path: list[str]) -> bool:
    if not path:
        return True
    return isinstance(values, dict) and path[0] in values and _has(values[path[0]], path[1:])
