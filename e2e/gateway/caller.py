"""Who calls the gateway: the official client, with a key."""

import openai

from e2e.space import Space


def client(url: str, key: str) -> openai.OpenAI:
    """Return the official client, which tries nothing twice."""
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=120)


def listed(known: openai.OpenAI) -> list[str]:
    """Return the names that a key may use; none while the gateway does not know the key yet."""
    try:
        return [model.id for model in known.models.list()]
    except openai.AuthenticationError:
        return []


def until_listed(space: Space, known: openai.OpenAI, *names: str) -> None:
    """Wait until a key may use exactly these models: until then the gateway may not know it."""
    space.until(lambda: listed(known) == [*names], 30, lambda: f"it lists {listed(known)}")
