"""Requests made up from the OpenAPI document, good and bad, sent to a real Envoy.

`--cases` says how many for each operation; the same number always gives the same requests.
"""

import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode

from e2e.bench.record import Figure, record
from gateway.engine import Engine
from gateway.proxy import Gateway
from gateway.raw import BODY, LENGTH, exchange, post, status
from modelops.gateway import openapi
from modelops.gateway.routes import PATHS

OPERATIONS = {
    found.ok().label: found.ok()
    for found in schemathesis.openapi.from_dict(openapi.document()).get_all_operations()
    if "/v1/jobs" not in found.ok().path
}
"""All that Envoy answers by itself or by an engine: jobs need a store and a queue beside it."""

PIECES = (
    *("/", "//", "/v1", "/chat", "/completions", "/completions", "/models", "/sleep", "/metrics"),
    *("/invocations", "/pause", "/load_lora_adapter", "/update_weights", "/.", "/..", "/%2e%2e"),
    *("%2f", "%2F", "%5c", "\\", ";", "?", "%3f", "%23", "%00", "%25", "%", "a", "Z", "http://x"),
)


@dataclass
class Trial:
    """How many cases are tried, and how they were answered."""

    cases: int
    counts: Counter[str] = field(default_factory=Counter)

    def settings(self, part: int = 2) -> settings:
        """Return the settings for a part of the cases, always the same ones."""
        return settings(
            max_examples=max(self.cases // part, 1),
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )

    def figures(self) -> list[Figure]:
        """Return how many requests there were, and how many were answered 5xx."""
        statuses: Counter[str] = Counter()
        for name, number in self.counts.items():
            statuses[name.rpartition(" ")[2]] += number
        errors = sum(number for status, number in statuses.items() if status[0] == "5")
        return [
            Figure("gateway_schema_cases", statuses.total(), "requests", dict(statuses)),
            Figure("gateway_schema_server_errors", errors, "answers"),
        ]


@pytest.fixture(scope="module")
def trial(request: pytest.FixtureRequest) -> Iterator[Trial]:
    """The trial, which is written down at the end when that is wanted."""
    made = Trial(request.config.getoption("--cases"))
    yield made
    if request.config.getoption("--record"):
        record("gateway-schema", made.figures())


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("label", OPERATIONS)
def test_answers_are_as_the_document_says(
    front: Gateway, fake: Engine, trial: Trial, label: str, mode: GenerationMode
) -> None:
    """Whatever is asked, the answer is one that is described, and no engine sees another path."""
    before = len(fake.requests)
    operation = OPERATIONS[label]
    bearer = {"Authorization": f"Bearer {front.key('*')}"}

    @trial.settings()
    @given(case=operation.as_strategy(generation_mode=mode), existing=st.booleans())
    def run(case: Case, existing: bool) -> None:  # noqa: FBT001  a strategy draws it
        if existing and mode == GenerationMode.POSITIVE:
            name_a_model(case)
        answer = case.call(base_url=front.url, headers=bearer, session=session)
        trial.counts[f"{label} {mode.value} {answer.status_code}"] += 1
        case.validate_response(answer, headers=bearer)

    with requests.Session() as session:
        run()
    assert {path for _, path, _ in fake.requests[before:]} <= {operation.path}
    del fake.requests[before:]


def name_a_model(case: Case) -> None:
    """Have a request name a model that exists, which few made-up names are."""
    if isinstance(case.body, dict):
        case.body["model"] = "llama-8b"
    if "model" in case.path_parameters:
        case.path_parameters["model"] = "llama-8b"


def test_no_made_up_path_reaches_what_engines_hide(
    front: Gateway, fake: Engine, trial: Trial
) -> None:
    """However paths are put together, an engine only ever sees those that are offered."""
    before, key = len(fake.requests), front.key("*")

    @trial.settings(part=1)
    @given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=9).map("".join))
    def run(path: str) -> None:
        answer = exchange(front, post(front, path=path, key=key) + f"{LENGTH}\r\n{BODY}")
        assert status(answer) in {200, 400, 404, 405}
        trial.counts[f"POST made-up path {status(answer)}"] += 1

    run()
    assert {path for _, path, _ in fake.requests[before:]} <= set(PATHS)
    del fake.requests[before:]


def test_noise_is_no_request(front: Gateway, trial: Trial) -> None:
    """Bytes without meaning are told so or hung up on, and others are served all along."""

    @trial.settings()
    @given(st.binary(min_size=1, max_size=200))
    def run(noise: bytes) -> None:
        with socket.create_connection(("127.0.0.1", front.front.port), 10) as sent:
            sent.sendall(noise + b"\r\n\r\n")
            answer = sent.recv(65536)
        assert status(answer) in {0, 400, 404, 408}
        trial.counts[f"noise {status(answer)}"] += 1

    run()
    with front.client(front.key("*")) as client:
        assert client.get("/v1/models").status_code == 200
