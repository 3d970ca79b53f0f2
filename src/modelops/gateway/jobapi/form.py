"""What came in a request: JSON, or a form with files, which are looked at."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import BodyPartReader, web

from modelops.gateway.jobapi.asked import Wrong
from modelops.jobs.picture import HEAD, NoPicture, picture

MOST_PIXELS: Final = 40_000_000
ROLES: Final = {
    "image": "image",
    "image[]": "image",
    "mask": "mask",
    "control": "control",
    "reference": "reference",
}
"""The fields that hold files."""


@dataclass(frozen=True, slots=True)
class File:
    """A picture that came with a request."""

    content: bytes
    content_type: str

    @property
    def digest(self) -> str:
        """What no other picture has."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class Form:
    """Fields by name, and files by role."""

    fields: Mapping[str, Any]
    files: Mapping[str, File] = field(default_factory=dict)

    @property
    def digests(self) -> Mapping[str, str]:
        """What the files are, by role."""
        return {role: file.digest for role, file in self.files.items()}


async def received(request: web.Request) -> Form:
    """Return what came; raises Wrong. Envoy has seen to its size."""
    if not request.content_type.startswith("multipart/"):
        try:
            said = json.loads(await request.read())
        except ValueError as error:
            raise Wrong("The request's body cannot be parsed as JSON.") from error
        if not isinstance(said, dict):
            raise Wrong("The request's body is no JSON object.")
        return Form(said)
    return await _form(request)


async def _form(request: web.Request) -> Form:
    fields: dict[str, Any] = {}
    files: dict[str, File] = {}
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or not part.name:
                raise Wrong("A part of the form has no name.")
            content = bytes(await part.read(decode=False))
            role = ROLES.get(part.name)
            if role in files or part.name in fields:
                raise Wrong(f"`{part.name}` is there more than once; one is taken.")
            if role and part.filename is not None:
                files[role] = _file(role, content)
            else:
                fields[part.name] = content.decode()
    except (ValueError, UnicodeDecodeError) as error:
        raise error if isinstance(error, Wrong) else Wrong("The form cannot be read.") from error
    return Form(fields, files)


def _file(role: str, content: bytes) -> File:
    try:
        found = picture(content[:HEAD])
    except NoPicture as error:
        raise Wrong(f"The file of `{role}`: {error}.") from error
    if found.pixels > MOST_PIXELS:
        raise Wrong(f"The picture of `{role}` has more than {MOST_PIXELS} pixels.")
    return File(content, found.content_type)
