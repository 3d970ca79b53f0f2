"""What one gateway pod knows of the demand, and tells the others (pure)."""

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

MOST_BYTES: Final = 4 * 1024 * 1024
"""No pod tells more: a hundred bytes for each of tens of thousands of models."""

Counts = Mapping[str, Annotated[int, Field(ge=0, le=2**53)]]
"""By the clusters of models, ``namespace.name``."""


class Share(BaseModel):
    """One pod's part of the demand; a model that is not named has none.

    ``in_flight`` requests are at its Envoy, the ``held`` ones at the activator among them; None
    while Envoy does not answer. ``queued`` ones wait at the pod for their turn, and are not in
    flight yet. ``arrivals`` are all requests since the process began, which ``pod`` identifies,
    and ``questions`` all that KEDA has asked this pod about the models.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    pod: str = Field(max_length=256)
    in_flight: Counts | None = None
    held: Counts = Field(default_factory=dict)
    queued: Counts = Field(default_factory=dict)
    arrivals: Counts = Field(default_factory=dict)
    questions: Counts = Field(default_factory=dict)
