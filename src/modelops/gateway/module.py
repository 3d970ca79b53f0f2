"""The gateway's own filter inside Envoy: a module in Rust, `runtimes/envoy/module`.

It reads what requests ask for and what their answers used, counts, and writes the access log. Envoy
looks for it in the folder that its environment's ENVOY_DYNAMIC_MODULES_SEARCH_PATH names.
"""

from typing import Final

from modelops.gateway import answers, joblead
from modelops.gateway.access import callers
from modelops.gateway.snapshot import Front, Snapshot
from modelops.gateway.typed import FILTERS, Json, extension, typed
from modelops.gateway.waking import CHAINED

NAME: Final = "modelops"
FILTER: Final = f"{FILTERS}.dynamic_modules.v3.DynamicModuleFilter"
_PER_ROUTE: Final = f"{FILTER}PerRoute"
_BOOTSTRAP: Final = "envoy.extensions.bootstrap.dynamic_modules.v3.DynamicModuleBootstrapExtension"
_MODULE: Final[Json] = {"name": NAME, "do_not_close": True}

JSON_PATHS: Final = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/rerank",
    "/v1/score",
    "/v1/images/generations",
)
FORM_PATHS: Final = (
    "/v1/audio/transcriptions",
    "/v1/audio/translations",
    "/v1/images/edits",
    "/v1/images/variations",
)
"""Those that take files: the model is a field of a form, and not of a JSON object."""

JOB_PATHS: Final = tuple(p for p in (*JSON_PATHS, *FORM_PATHS) if p.startswith("/v1/images/"))
"""Those whose requests are jobs."""

LISTING_PATH: Final = "/v1/models"
DOCUMENT_PATH: Final = "/openapi.json"
_USAGE_PATHS: Final = ("/v1/chat/completions", "/v1/completions")
"""Those of which a stream tells its usage only if its request says so."""

ENCODINGS: Final = "accept-encoding"
"""What engines are not told, so that none compresses an answer: its usage could not be read."""


def module(snapshot: Snapshot, front: Front) -> Json:
    """Return the filter's configuration."""
    settings = {
        "largest_body": front.largest_body,
        "json_paths": JSON_PATHS,
        "form_paths": FORM_PATHS,
        "listing": LISTING_PATH,
        "document": DOCUMENT_PATH,
        "usage_paths": _USAGE_PATHS,
        "broken": answers.event(answers.BROKEN_OFF),
        "silent": answers.event(answers.SILENCE),
        "told": front.collector is not None,
        "log": front.access_log,
        "marks": [CHAINED, ENCODINGS],
        "jobs": {**joblead.TOLD, "place": joblead.PATH, "paths": JOB_PATHS},
        **callers(snapshot, front),
    }
    return typed(
        FILTER,
        dynamic_module_config=_MODULE,
        filter_name="stream",
        filter_config=_struct(settings),
    )


def route(**fields: object) -> Json:
    """Return the part of a route that tells the filter something; nothing where there is none."""
    if not fields:
        return {}
    told = typed(
        _PER_ROUTE,
        dynamic_module_config=_MODULE,
        filter_name="route",
        filter_config=_struct(fields),
    )
    return {"typed_per_filter_config": {NAME: told}}


def counting(**settings: object) -> Json:
    """Return the extension that keeps what is counted, and tells it at the admin port."""
    return extension(
        NAME,
        _BOOTSTRAP,
        dynamic_module_config=_MODULE,
        extension_name="counts",
        extension_config=_struct(settings),
    )


def _struct(fields: Json) -> Json:
    return typed("google.protobuf.Struct", value=fields)
