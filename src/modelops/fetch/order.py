"""What the weights container is told to do."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from modelops.fetch.store import Patience
from modelops.registry.selection import Formats, RemoteCode


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be fetched, and where to put it."""

    uri: str
    link: Path
    cache: Path | None = None
    claim: Path | None = None
    revision: str | None = None
    endpoint: str | None = None
    formats: Formats = "SafetensorsOnly"
    remote_code: RemoteCode = "Deny"
    pin: str | None = None
    patience: Patience = field(default_factory=Patience)

    @property
    def wanted(self) -> str:
        """Everything that decides which files are fetched, as one text."""
        return json.dumps([self.uri, self.revision, self.endpoint, self.formats, self.remote_code])
