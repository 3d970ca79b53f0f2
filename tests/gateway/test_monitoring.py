"""What the dashboard and the alerts on the gateway ask for is there, in PromQL that holds."""

import json
import re
from collections.abc import Iterator

import httpx
import promql_parser
import yaml
from prometheus_client import CollectorRegistry

from docs.pages import ROOT
from gateway.conftest import model
from gateway.engine import Engine
from gateway.pod import CHAT as SCALED
from gateway.proxy import Gateway, until
from gateway.test_meter import CHATS, asked, samples
from gateway.test_usage import CHAT, stream
from modelops.gateway.counters import Series
from modelops.gateway.demand.book import Book
from modelops.gateway.demand.figures import Figures
from modelops.gateway.demand.share import Share
from modelops.gateway.demand.total import Found
from modelops.gateway.genai import GenAi
from modelops.gateway.jobapi.figures import Figures as JobFigures
from modelops.gateway.metrics import Metrics
from modelops.jobs.queue import Lane, Stats

CHART = ROOT / "charts" / "modelops"
DASHBOARD = json.loads((CHART / "files/gateway-dashboard.json").read_text(encoding="utf-8"))
TEMPLATE = CHART / "templates" / "gateway-monitoring.yaml"


def alerts() -> Iterator[str]:
    """Yield the alerts' expressions as the chart renders them."""
    requests = "gen_ai_server_request_duration_seconds_count"
    text = TEMPLATE.read_text(encoding="utf-8").replace("{{ $requests }}", requests)
    filters = "envoy_extension_config_discovery_http_filter"
    text = text.replace("{{ $filter }}", filters).replace("{{- $here -}}", 'namespace="n"')
    rule = text.partition("rules:\n")[2].partition("{{- end }}")[0]
    rule = re.sub(r"\{\{.*?\}\}", "x", rule)
    yield from (each["expr"] for each in yaml.safe_load(rule))


def panels() -> Iterator[str]:
    """Yield the panels' expressions, Grafana's variables filled in."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield target["expr"].replace("$namespace", "n").replace("$__rate_interval", "5m")


def exposed(front: Gateway) -> set[str]:
    """Return the names of the series of a gateway that has seen each kind of request."""
    url = f"http://127.0.0.1:{front.front.metrics_port}/stats/prometheus"
    envoy = re.findall(r"^(\w+)\{", httpx.get(url, trust_env=False).text, re.MULTILINE)
    registry = CollectorRegistry()
    semantic = GenAi(asked(front))
    semantic.add({Series("requests", "a", "k", "m", CHATS): 1})
    registry.register(semantic)
    metrics = Metrics.create()
    metrics.count_usage({Series(n, "a", "k", "m", CHATS): 1 for n in ("requests", "input_tokens")})
    metrics.count_call("list", "textmodels", 200)
    metrics.issuer_read.labels("corp").set_to_current_time()
    metrics.registry.register(Figures(decided()))
    jobs = JobFigures()
    jobs.tell({"team/painter": Stats(1, 0, {"normal": Lane(1, 0, 1, 2.0)})})
    metrics.registry.register(jobs)
    own = {name for name, _ in (*samples(registry), *samples(metrics.registry))}
    return own | {*envoy}


def decided() -> Book:
    """Return a book with a decision about a model that has much to do."""
    shares, book = [Share(pod="a", in_flight={"team.chat": 9})], Book()
    book.decide([SCALED], Found(shares, {}, {}), 1.0)
    return book


def test_every_series_that_is_asked_for_exists(front: Gateway, fake: Engine) -> None:
    """Each name in an alert or a panel is one that a gateway exposes to Prometheus."""
    asked_for = {
        name
        for expression in (*alerts(), *panels())
        for name in re.findall(r"\b(?:envoy|gen_ai|modelops)_\w+(?=\{)", expression)
    }
    assert len(asked_for) > 10
    front.serve(models=(model("llama-8b", fake.port),))
    with front.client(front.key("*")) as client:
        client.post(CHATS, json=stream(["data: {}"]))
        client.post(CHATS, json=CHAT | {"model": "none"})
    until(lambda: asked_for <= exposed(front), 15)


def test_every_expression_is_promql() -> None:
    """Prometheus would take each expression of an alert and of a panel."""
    for expression in (*alerts(), *panels()):
        promql_parser.parse(expression)
    assert len({*alerts()}) == TEMPLATE.read_text(encoding="utf-8").count("- alert:")


def test_panels_have_their_place() -> None:
    """No two panels lie on each other, and each says what it shows."""
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        assert panel["title"]
        assert panel["description"]
        taken |= cells
