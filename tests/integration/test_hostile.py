"""The law of neighbours: one object, whatever is in it, takes nothing from the others."""

import json
import sys
from collections.abc import Iterator

import pytest

from integration.api import Api
from integration.conftest import Start, condition, text_model
from integration.process import eventually
from modelops.cluster import RECURSION_LIMIT

STORED = 9900
"""Levels of nesting; the API server stores no more than 10,000."""


@pytest.fixture(autouse=True)
def _deep() -> Iterator[None]:
    """Let the test's own client read what the operator has to read."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(RECURSION_LIMIT)
    yield
    sys.setrecursionlimit(before)


def reason(api: Api, namespace: str, name: str) -> str:
    """Return the reason of a model's Ready condition, empty when it has none."""
    return str(condition(api.find("TextModel", namespace, name), "Ready").get("reason", ""))


def test_an_object_that_is_nested_without_end_harms_itself_alone(
    api: Api, namespace: str, start: Start
) -> None:
    """The deepest object that can be stored is refused in words; an operator starts beside it."""
    nested = json.loads('{"a":' * STORED + "1" + "}" * STORED)
    api.create(text_model(namespace, "deep", podTemplate={"spec": nested}))
    start(NAMESPACES=namespace).ready()
    api.create(text_model(namespace, "plain"))
    eventually(lambda: reason(api, namespace, "plain") == "Pending", what="plain is looked at")
    eventually(lambda: reason(api, namespace, "deep") == "PodTemplateTooDeep", what="deep is told")


def test_annotations_of_a_library_are_nothing_to_us(api: Api, namespace: str, start: Start) -> None:
    """Junk where kopf would keep its memory does not keep an object from being looked at."""
    start(NAMESPACES=namespace, RESYNC_SECONDS="3600").ready()
    model = text_model(namespace, "junk")
    model["metadata"]["annotations"] = {"kopf.zalando.org/last-handled-configuration": "{no JSON"}
    api.create(model)
    eventually(lambda: reason(api, namespace, "junk") == "Pending", what="junk is looked at")
