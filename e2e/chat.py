"""A streamed chat with an OpenAI-compatible endpoint."""

import json
from collections.abc import Iterator

import httpx


def stream(
    base_url: str, model: str, prompt: str, max_tokens: int = 48, key: str | None = None
) -> Iterator[str]:
    """Yield the pieces of an answer as they arrive; raises httpx.HTTPError when there is none."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": max_tokens,
        "stream": True,
    }
    url = f"{base_url}/v1/chat/completions"
    headers = bearer(key)
    with httpx.stream("POST", url, json=body, headers=headers, timeout=120) as response:
        if response.is_error:
            response.read()
            message = f"{url} answered {response.status_code}: {response.text[:500]}"
            raise httpx.HTTPStatusError(message, request=response.request, response=response)
        for line in response.iter_lines():
            yield from _piece(line)


def bearer(key: str | None) -> dict[str, str]:
    """Return the header that carries an API key."""
    return {"Authorization": f"Bearer {key}"} if key else {}


def _piece(line: str) -> Iterator[str]:
    data = line.removeprefix("data: ")
    if data in {line, "[DONE]"}:
        return
    for choice in json.loads(data)["choices"]:
        if choice["delta"].get("content"):
            yield choice["delta"]["content"]
