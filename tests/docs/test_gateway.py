"""The guide to the gateway names what there is, and all of it."""

import re

import yaml

from docs.pages import ROOT, Page
from modelops.cli import key
from modelops.gateway import answers
from modelops.gateway.answers import Refusal
from modelops.gateway.demand.book import Book
from modelops.gateway.demand.figures import Figures
from modelops.gateway.metrics import Metrics
from modelops.gateway.routes import PATHS

GUIDE = Page(ROOT / "docs" / "guides" / "gateway.md")
ROW = re.compile(r"^\| (\d{3}) \| (`[^|]+`) \|", re.MULTILINE)


def test_every_metric_is_listed_and_no_other() -> None:
    """The guide lists exactly the metrics that the control process exposes."""
    families = (*Metrics.create().registry.collect(), *Figures(Book()).collect())
    exposed = {f"{f.name}_total" if f.type == "counter" else f.name for f in families}
    assert set(re.findall(r"^\| `(modelops_gateway_\w+)`", GUIDE.text, re.MULTILINE)) == exposed


def test_every_alert_is_listed_and_no_other() -> None:
    """The guide lists exactly the alerts on the gateway that the chart makes."""
    template = ROOT / "charts/modelops/templates/gateway-monitoring.yaml"
    made = re.findall(r"- alert: (\w+)", template.read_text(encoding="utf-8"))
    assert set(re.findall(r"^\| `(Modelops\w+)`", GUIDE.text, re.MULTILINE)) == set(made)


def test_every_answer_is_explained_and_no_other() -> None:
    """The table of errors holds exactly the statuses and codes that the gateway answers with."""
    given = {(str(r.status), r.code) for r in vars(answers).values() if isinstance(r, Refusal)}
    listed = {
        (status, code)
        for status, codes in ROW.findall(GUIDE.text)
        for code in codes[1:-1].split("`, `")
    }
    assert listed == given


def test_every_path_and_command_is_listed() -> None:
    """The guide names each path that is passed on, and each command of `modelops key`."""
    assert not [path for path in PATHS if f"`{path}`" not in GUIDE.text]
    assert not [
        command.name
        for command in key.app.registered_commands
        if f"modelops key {command.name}" not in GUIDE.text
    ]


def test_every_value_that_is_named_exists() -> None:
    """Every value of the chart that the guide names is one of values.yaml."""
    values = yaml.safe_load((ROOT / "charts/modelops/values.yaml").read_text(encoding="utf-8"))
    named = re.findall(r"`gateway\.(\w+)(?:\.(\w+))?`", GUIDE.text)
    assert named
    for name, part in named:
        assert name in values["gateway"]
        assert not part or part in values["gateway"][name]
