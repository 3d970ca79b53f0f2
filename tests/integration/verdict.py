"""How a test waits for what the operator concludes."""

from integration.api import Api, Manifest
from integration.conftest import condition
from integration.process import eventually


def reason(api: Api, namespace: str, name: str = "chat") -> str:
    """Return why a TextModel is Ready or not."""
    found = api.find("TextModel", namespace, name)
    return str(condition(found, "Ready").get("reason", ""))


def reaches(api: Api, namespace: str, wanted: str, seconds: float = 60) -> Manifest:
    """Wait until a TextModel has that reason; return the TextModel."""
    eventually(
        lambda: reason(api, namespace) == wanted,
        seconds,
        f"chat is {wanted}; it is {api.find('TextModel', namespace, 'chat')}",
    )
    return api.get("TextModel", namespace, "chat")


def converged(api: Api, namespace: str) -> None:
    """Wait until a TextModel has all it needs and waits for a pod."""
    reaches(api, namespace, "Pending")
    assert api.get("Service", namespace, "chat")
    assert api.get("Deployment", namespace, "chat")["spec"]["replicas"] == 1
