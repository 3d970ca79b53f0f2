"""The paths that take files: the model is a field of a form, and not of a JSON object."""

from typing import Final

from modelops.gateway.script import run, scripted
from modelops.gateway.typed import Json

MULTIPART: Final = "modelops.multipart"
"""The name of the filter that reads the form's `model`."""

PATHS: Final = (
    "/v1/audio/transcriptions",
    "/v1/audio/translations",
    "/v1/images/edits",
    "/v1/images/variations",
)
CONTENT_TYPE: Final = r"(?i)multipart/form-data\s*;.*"


def multipart() -> Json:
    """Return the filter; it is off but on routes that ask it, which the path alone tells."""
    return {**scripted(MULTIPART, "multipart"), "disabled": True}


def read() -> Json:
    """Return the part of a route that has the form read instead of JSON."""
    return {"typed_per_filter_config": run(MULTIPART)}
