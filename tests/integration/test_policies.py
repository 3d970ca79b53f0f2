"""Routes on a real API server: an operator tells them what became of them."""

from integration import play
from integration.api import Api, Manifest
from integration.conftest import Start, condition, text_model
from integration.process import eventually
from integration.test_policy_schema import policy
from integration.verdict import reaches

LEADS = {"targets": [{"model": "chat"}], "modelName": "x"}


def told(api: Api, namespace: str, reason: str, name: str = "one") -> Manifest:
    """Wait until a route's Ready has that reason, and return the route."""

    def found() -> bool:
        return condition(api.find("ModelRoute", namespace, name), "Ready").get("reason") == reason

    eventually(found, what=f"{name} is {reason}")
    return api.get("ModelRoute", namespace, name)


def test_a_route_follows_its_model(api: Api, namespace: str, start: Start) -> None:
    """Without its model it says so; with it, how it is served; and what is right stays as it is."""
    start().ready()
    api.create(policy("ModelRoute", namespace, LEADS))
    route = told(api, namespace, "UnknownTarget")
    assert route["status"]["observedGeneration"] == route["metadata"]["generation"]
    api.create(text_model(namespace))
    told(api, namespace, "NoReplicas")
    play.pod(api, namespace)
    play.running(api, namespace)
    reaches(api, namespace, "Serving")
    route = told(api, namespace, "Serving")
    assert route["status"]["model"] == "x"
    assert condition(route, "Ready")["message"] == "serving chat"
    api.create(policy("ModelRoute", namespace, LEADS, "rival"))
    rival = told(api, namespace, "NameTaken", "rival")
    assert "belongs to ModelRoute one" in condition(rival, "Ready")["message"]
    unchanged = api.get("ModelRoute", namespace, "one")["metadata"]["resourceVersion"]
    assert unchanged == route["metadata"]["resourceVersion"]
    api.delete("ModelRoute", namespace, "one")
    told(api, namespace, "Serving", "rival")
    api.delete("ModelRoute", namespace, "rival")
