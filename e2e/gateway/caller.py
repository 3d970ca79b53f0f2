"""Who calls the gateway: the official client, with a key."""

import openai


def client(url: str, key: str) -> openai.OpenAI:
    """Return the official client, which tries nothing twice."""
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=120)


def listed(known: openai.OpenAI) -> list[str]:
    """Return the names that a key may use; none while the gateway does not know the key yet."""
    try:
        return [model.id for model in known.models.list()]
    except openai.AuthenticationError:
        return []
