"""Requests for jobs made up from the OpenAPI document, good and bad, sent through a real Envoy.

`--cases` says how many for each operation; the same number always gives the same requests.
"""

from collections.abc import Iterator

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import (
    negative_data_rejection,
    positive_data_acceptance,
)

from modelops.gateway import openapi
from worker.conftest import Site
from worker.front import Front, front

OPERATIONS = {
    found.ok().label: found.ok()
    for found in schemathesis.openapi.from_dict(openapi.document()).get_all_operations()
    if found.ok().path.startswith(("/v1/jobs", "/v1/images"))
}
"""All that the job API answers."""

BETWEEN_FIELDS = [positive_data_acceptance]
"""The document tells each field by itself, and not that a mask needs an image."""

UNKNOWN = [negative_data_rejection]
"""What a query says that no path knows is left unread, as everywhere."""


@pytest.fixture(scope="module")
def desk(site: Site) -> Iterator[Front]:
    """The gateway in front of a queue that nobody works on: what is taken is told as a job."""
    with front(site, jobs_answer_seconds=0) as made:
        yield made


@pytest.fixture(scope="module")
def job(desk: Front) -> str:
    """A job that there is, and that has ended."""
    with desk.client() as client:
        order = {"model": "painter", "prompt": "a cat"}
        made = str(client.post("/v1/images/generations", json=order).json()["id"])
        assert client.post(f"/v1/jobs/{made}/cancel").json()["status"] == "cancelled"
    return made


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("label", OPERATIONS)
def test_answers_of_jobs_are_as_the_document_says(
    desk: Front, job: str, request: pytest.FixtureRequest, label: str, mode: GenerationMode
) -> None:
    """Whatever is asked, the answer is one that is described, and none is an error of ours."""
    key = desk.gateway.key("*", tenant="acme")
    bearer = {"Authorization": f"Bearer {key}"}

    @settings(
        max_examples=max(request.config.getoption("--cases") // 2, 1),
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=OPERATIONS[label].as_strategy(generation_mode=mode), existing=st.booleans())
    def run(case: Case, existing: bool) -> None:  # noqa: FBT001  a strategy draws it
        if existing and mode == GenerationMode.POSITIVE:
            name_what_exists(case, job)
        excluded = [*BETWEEN_FIELDS, *(UNKNOWN if case.query else ())]
        answer = case.call(base_url=desk.gateway.url, headers=bearer, session=session)
        case.validate_response(answer, headers=bearer, excluded_checks=excluded)

    with requests.Session() as session:
        run()
    told = httpx.get(f"{desk.gateway.url}/v1/jobs", headers=bearer)
    assert told.status_code == 200, told.text


def name_what_exists(case: Case, job: str) -> None:
    """Have a request name a model that does jobs, or a job that there is."""
    if isinstance(case.body, dict):
        case.body["model"] = "painter"
    if "job" in case.path_parameters:
        case.path_parameters["job"] = job
